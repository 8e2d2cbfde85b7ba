"""What happened to the calls of a run's models, counted."""

from __future__ import annotations

from collections import Counter


class Tallies:
    """Totals by name; a name that never occurred is 0.

    ``calls``: answered by a model. ``retries``: tries after a failed one. Failed tries by kind: ``rate_limited``,
    ``overloaded``, ``server_error``, ``timeout``, ``connection``, ``malformed``, ``other``. ``failed``: calls given up.
    ``circuit_opened``: times that the server was taken for down. ``waited_s``: seconds that calls waited between
    tries, or for a server that is down.
    """

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        self._waited_s = 0.0

    def add(self, name: str, count: int = 1) -> None:
        self._totals[name] += count

    def wait(self, seconds: float) -> None:
        self._waited_s += seconds

    def __getitem__(self, name: str) -> float:
        return self._waited_s if name == "waited_s" else self._totals[name]

    def as_dict(self) -> dict[str, float]:
        """All totals that aren't 0, by name."""
        waited = {"waited_s": self._waited_s} if self._waited_s else {}
        return dict(sorted({**self._totals, **waited}.items()))

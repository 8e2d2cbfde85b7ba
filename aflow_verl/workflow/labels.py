"""One-character labels for the edits of a workflow, each a single token of the policy."""

from __future__ import annotations

import string

_LABELS = string.digits + string.ascii_uppercase


def labels(n: int) -> tuple[str, ...]:
    """Labels of the n legal edits in their order: ``0`` to ``9``, then ``A`` to ``Z``. ValueError above 36.

    A label belongs to a position in the full list, so it names the same edit of a state even where some are left out.
    """
    if n > len(_LABELS):
        raise ValueError(f"{n} edits, but only {len(_LABELS)} labels")
    return tuple(_LABELS[:n])

"""The critic's promises of a step's edits, made before it saw them, beside what the edits reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import astuple, dataclass

from aflow_verl.env.episode import Episode
from aflow_verl.search.confidence import WINDOW, Prediction, confidence, partial_correlation
from aflow_verl.search.returns import upper_value
from aflow_verl.search.store import Store
from aflow_verl.search.targets import RowKey, RowTarget

KEPT = "critic/predictions"
"""Store's key: [step, kind, value, shown, outcome, group], oldest first."""
EDITS, NODES = "edits", "nodes"


@dataclass(frozen=True, slots=True)
class Judged:
    """How far the critic has proved right, of workflows and of edits."""

    nodes: float
    edits: float
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a row's edit reached."""

    node: tuple[int, str]
    """(dataset row, node id): edits with one of these are of one workflow, on the same problems."""
    shown: float
    reached: float
    centre: float


class Predictions:
    """Comparisons of this and earlier steps. ``resume`` comes first, then ``begin`` and ``judge`` of each step."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: list[tuple[int, str, Prediction]] = []
        self._outcomes: dict[RowKey, _Outcome] = {}

    def resume(self, step: int) -> None:
        """Forget the comparisons of later steps."""
        entries = self._store.get_meta(KEPT, [])
        self._kept = [(int(at), str(kind), Prediction(*numbers)) for at, kind, *numbers in entries if at <= step]
        self._outcomes = {}

    def begin(
        self,
        step: int,
        episodes: Mapping[tuple[str, int], Episode],
        targets: Mapping[RowKey, RowTarget],
        centres: Mapping[str, float],
    ) -> None:
        """The step was merged: what its edits reached is known. Invalid replies and stops say nothing of an edit."""
        self._outcomes = {}
        for (uid, session), episode in episodes.items():
            centre = centres[episode.benchmark]
            for t, node_id in enumerate(episode.edited):
                target = targets[uid, session, t]
                if not target.invalid and not target.neutral:
                    outcome = _Outcome((episode.row, node_id), episode.shown[t], target.q + centre, centre)
                    self._outcomes[uid, session, t] = outcome

    def judge(self, step: int, said: Mapping[RowKey, tuple[float, float]]) -> Judged:
        """Compare what the critic said of the step's rows, (V, Q) above the centre, with what they reached."""
        groups: dict[tuple[int, str], list[tuple[float, _Outcome]]] = defaultdict(list)
        for key, outcome in self._outcomes.items():
            if key in said:
                v, q = said[key]
                made = Prediction(
                    q + outcome.centre, outcome.shown, outcome.reached, f"{step}/{outcome.node[1]}", str(step)
                )
                self._kept.append((step, EDITS, made))
                groups[outcome.node].append((v + outcome.centre, outcome))
        for (_, node_id), members in groups.items():  # all edits of one workflow on one set of problems say one thing
            v = sum(value for value, _ in members) / len(members)
            reached = upper_value([outcome.reached for _, outcome in members])
            self._kept.append(
                (step, NODES, Prediction(v, members[0][1].shown, reached, f"{step}/{node_id}", str(step)))
            )
        edits = [made for _, kind, made in self._kept if kind == EDITS][-WINDOW:]
        nodes = [made for _, kind, made in self._kept if kind == NODES][-WINDOW:]
        counted = set(map(id, [*edits, *nodes]))
        self._kept = [entry for entry in self._kept if id(entry[2]) in counted]
        self._store.put_meta(KEPT, [[at, kind, *astuple(made)] for at, kind, made in self._kept])
        judged = {"nodes": nodes, "edits": edits}
        correlations = {kind: partial_correlation(found) for kind, found in judged.items()}
        metrics = {
            **{f"critic/confidence_{kind}": confidence(found) for kind, found in judged.items()},
            **{f"critic/partial_correlation_{k}": float("nan") if r is None else r for k, r in correlations.items()},
            **{f"critic/comparisons_{kind}": float(len(found)) for kind, found in judged.items()},
        }
        return Judged(metrics["critic/confidence_nodes"], metrics["critic/confidence_edits"], metrics)

"""From scores of a critic to a snapshot, with a critic that is a table."""

from collections.abc import Sequence

import pytest

from aflow_verl.critic.shared_prompt import SharedPromptGroup
from aflow_verl.search.qvalues import QValue, ScoreGroup
from trainer.critic_export import export_values


class Critic:
    """V of a prompt is its first token, Q of an action its first token; two ranks share the groups."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def score_shared_prompts(
        self, groups: Sequence[SharedPromptGroup], batch_size: int
    ) -> list[dict[int, tuple[float, list[float]]]]:
        self.asked.append(len(groups))
        scores = {i: (g.prompt_ids[0] / 10, [a[0] / 10 for a in g.action_ids]) for i, g in enumerate(groups)}
        return [{i: s for i, s in scores.items() if i % 2 == rank} for rank in range(2)]


GROUPS = [ScoreGroup((3,), "root"), ScoreGroup((9,), None, (("a", (4, 2)), ("b", (5, 2)))), ScoreGroup((1,), "a")]


def test_scored_and_kept_values_make_one_snapshot() -> None:
    kept = {"b": QValue(0.2, 0.7, 7)}
    returns = {"root": [0.3], "a": [0.1], "b": [0.2]}
    export = export_values(Critic(), GROUPS, kept, returns, weights_step=7, batch_size=4, gamma=0.9)
    assert export.snapshot.values == {
        "root": QValue(0.3, None, 7),
        "a": QValue(0.1, 0.4, 7),
        "b": QValue(0.2, 0.7, 7),
    }
    assert (export.snapshot.weights_step, export.snapshot.gamma) == (7, 0.9)
    assert export.snapshot.calibration.count == 3, "kept values are calibrated too"
    assert export.snapshot.rank_correlation == pytest.approx(1.0)
    assert export.metrics["critic_export/nodes"] == 2.0


def test_nothing_stale_asks_the_critic_nothing() -> None:
    critic, kept = Critic(), {"root": QValue(0.5, None, 3)}
    export = export_values(critic, [], kept, {}, weights_step=3, batch_size=4, gamma=0.9)
    assert critic.asked == []
    assert export.snapshot.values == kept
    assert export.metrics["critic_export/nodes"] == 0.0

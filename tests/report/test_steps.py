from __future__ import annotations

from aflow_verl.report import steps

LINE = {
    "step": 2,
    "timing_s/gen": 12.34,
    "timing_s/update_actor": 3.0,
    "timing_s/update_critic": 4.5,
    "timing_s/step": 41.27,
    "eval/seconds": 8.0,
    "env/step_reward": -0.0125,
    "search/best_score": 0.41666,
    "search/tree_size": 38,
    "search/new_workflows": 9.0,
    "search/alpha_effective": 0.31,
    "actor/grad_norm": 1234567.0,
}


def test_a_line_has_a_cell_under_every_title() -> None:
    assert steps.row(LINE, 6).split() == [
        *("2/6", "12.3", "8.0", "7.5", "41.3", "-0.013", "0.417", "38", "9", "0.31", "1.2e+06", "-")
    ]
    assert len(steps.row(LINE, 6)) == len(steps.header()) - len("health") + len("-")


def test_missing_metrics_are_dashes() -> None:
    assert steps.row({"step": 7}).split() == ["7", *["-"] * len(steps.COLUMNS), "-"]


def test_the_update_is_the_sum_of_what_was_updated() -> None:
    assert steps.row({"step": 1, "timing_s/update_actor": 2.0}).split()[3] == "2.0"

"""Every line of health, turned red."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aflow_verl.config import HealthConfig
from aflow_verl.health import (
    QUESTIONS,
    HealthMonitor,
    Line,
    RunIsDead,
    expectations,
    health_metrics,
    spoken,
    stop_if_dead,
)

ALIVE: dict[str, Any] = {
    "policy/parameter_change": 5e-6,
    "actor/grad_norm": 0.3,
    "gigpo/live_rows": 0.6,
    "search/valid_action_rate": 0.7,
    "env/truncated_prompts": 3.0,
    "env/rows": 24.0,
    "env/rows_can_gain": 0.5,
    "search/new_workflows": 4.0,
    "critic/parameter_change": 2e-5,
    "critic/grad_norm": 1.5,
    "critic/confidence_nodes": 0.3,
    "critic/confidence_edits": 0.0,
    "search/alpha_effective": 0.12,
    "search/q_changed_choice": 0.25,
}
PATIENT = HealthConfig(patience=3)


def lines_of(changes: dict[str, Any], *, steps: int = 3, off: frozenset[str] = frozenset()) -> dict[str, Line]:
    monitor = HealthMonitor(PATIENT, off)
    lines: tuple[Line, ...] = ()
    for step in range(1, steps + 1):
        lines = monitor.update(step, ALIVE | changes)
    return {line.name: line for line in lines}


def test_all_lines_alive() -> None:
    lines = lines_of({})
    assert {line.state for line in lines.values()} == {"alive"}
    assert [line.remark for line in lines.values()] == [""] * len(QUESTIONS)
    assert set(health_metrics(lines.values()).values()) == {1.0}


RED: dict[str, tuple[str, dict[str, float], str]] = {
    # case: (line, metrics, words)
    "weights that stand still": ("policy", {"policy/parameter_change": 0.0}, "the policy is not being trained"),
    "weights that all but stand still": ("policy", {"policy/parameter_change": 1e-12}, "not being trained"),
    "weight decay alone": ("policy", {"actor/grad_norm": 0.0}, "not being trained"),
    "no advantage": ("advantage", {"gigpo/live_rows": 0.0}, "all sessions of a row end alike"),
    "hardly an advantage": ("advantage", {"gigpo/live_rows": 0.01}, "no reply is better than another"),
    "no valid reply": ("replies", {"search/valid_action_rate": 0.0}, "no reply of the policy made a workflow"),
    "cut prompts": ("prompts", {"env/truncated_prompts": 12.0}, "raise data.max_prompt_length"),
    "nothing to gain": ("gains", {"env/rows_can_gain": 0.0}, "already solves all of its problems"),
    "an exhausted search": ("search", {"search/new_workflows": 0.0}, "no edit made a workflow"),
    "a critic that stands still": ("critic", {"critic/parameter_change": 0.0}, "the critic is not being trained"),
    "a critic without gradient": ("critic", {"critic/grad_norm": 0.0}, "the critic is not being trained"),
    "a confident critic without weight": (
        "q",
        {"search/alpha_effective": 0.0, "search/q_changed_choice": 0.0, "search/confidence": 0.5},
        "earned",
    ),
    "a weight without effect": ("q", {"search/q_changed_choice": 0.0}, "Q changes no choice"),
}


@pytest.mark.parametrize("case", RED)
def test_a_line_turns_red(case: str) -> None:
    name, metrics, words = RED[case]
    lines = lines_of(metrics, steps=4)
    dead = {line.name for line in lines.values() if line.state == "dead"}
    assert dead == {name}
    assert words in lines[name].remark
    assert health_metrics(lines.values())[f"health/{name}"] == 0.0
    said = spoken(lines[name], 3)
    assert said is not None
    assert said.startswith(f"HEALTH: {name} DEAD since step")
    assert words in said


def test_every_line_has_a_test_that_turns_it_red() -> None:
    assert {name for name, _, _ in RED.values()} == {question.name for question in QUESTIONS}


def test_a_critic_without_a_say_is_no_error_and_says_so_plainly() -> None:
    silent = {"critic/confidence_nodes": 0.0, "search/alpha_effective": 0.0, "search/q_changed_choice": 0.0}
    lines = lines_of(silent, steps=4)
    assert (lines["critic"].state, lines["q"].state) == ("no say", "no say")
    assert "the critic has not earned a say: the search ran without Q" in lines["q"].remark
    assert health_metrics(lines.values())["health/q"] == 0.0
    said = spoken(lines["q"], 3)
    assert said is not None
    assert said.startswith("health: q: since step 2")
    stop_if_dead(lines.values(), HealthConfig(patience=1, on_dead="stop"))  # no error


@pytest.mark.parametrize(
    ("alpha", "changed", "confidence", "state"),
    [
        (0.2, 0.1, 0.4, "alive"),
        (0.2, 0.0, 0.4, "dead"),
        (0.01, 0.0, 0.1, "no say"),  # too small a weight to change a choice
        (0.0, 0.0, 0.0, "no say"),
        (0.0, 0.0, 0.5, "dead"),  # earned, and not given
        (0.0, 0.0, None, "no say"),
        (None, 0.1, 0.5, "unknown"),
        (0.2, None, 0.5, "unknown"),
    ],
)
def test_q(alpha: float | None, changed: float | None, confidence: float | None, state: str) -> None:
    metrics = {
        "search/alpha_effective": alpha,
        "search/q_changed_choice": changed,
        "search/confidence": confidence,
    }
    assert lines_of(metrics)["q"].state == state


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, "0.5", True])
def test_a_metric_that_is_missing_is_never_alive(missing: Any) -> None:
    monitor = HealthMonitor(PATIENT, frozenset())
    for question in QUESTIONS:
        changes: dict[str, Any] = dict.fromkeys(question.metrics, missing)
        line = next(line for line in monitor.update(2, ALIVE | changes) if line.name == question.name)
        assert line.state == "unknown"
        assert question.metrics[0] in line.remark
        assert math.isnan(health_metrics([line])[f"health/{question.name}"])
    assert {line.state for line in HealthMonitor(PATIENT, frozenset()).update(2, {})} == {"unknown"}


def test_unknown_is_said_aloud_too() -> None:
    said = spoken(lines_of({"gigpo/live_rows": None})["advantage"], 3)
    assert said is not None
    assert "advantage UNKNOWN since step 1" in said
    assert "nobody can tell without gigpo/live_rows" in said


def test_lines_that_the_recipe_turns_off() -> None:
    asked = {"search.rl_weight": 0.0, "critic.enable": True, "trainer.critic_warmup": 4}
    assert expectations(asked.get) == (frozenset({"q"}), {"policy": 4})
    asked |= {"critic.enable": False}
    off, _ = expectations(asked.get)
    assert off == {"critic", "q"}
    lines = lines_of({"critic/parameter_change": None, "search/alpha_effective": 0.0}, off=off)
    assert lines["q"].remark == "off: search.rl_weight is 0"
    assert lines["critic"].remark == "off: critic.enable is false"
    assert spoken(lines["q"], 1) is None


def test_the_first_steps_that_can_tell() -> None:
    monitor = HealthMonitor(PATIENT, frozenset(), {"policy": 3})
    still = ALIVE | {"policy/parameter_change": 0.0}
    states = {step: {line.name: line.state for line in monitor.update(step, still)} for step in (1, 2, 3)}
    assert [states[step]["policy"] for step in states] == ["waiting", "waiting", "dead"]
    assert [states[step]["q"] for step in states] == ["waiting", "alive", "alive"]


def test_patience_is_counted_in_consecutive_steps() -> None:
    monitor, shares = HealthMonitor(PATIENT, frozenset()), [0.0, 0.0, 0.5, 0.0, 0.0, 0.0]
    lines = [monitor.update(step, ALIVE | {"gigpo/live_rows": share})[1] for step, share in enumerate(shares, 1)]
    assert [(line.state, line.since, line.steps) for line in lines] == [
        ("dead", 1, 1),
        ("dead", 1, 2),
        ("alive", 3, 1),
        ("dead", 4, 1),
        ("dead", 4, 2),
        ("dead", 4, 3),
    ]
    assert [spoken(line, 3) is not None for line in lines] == [False] * 5 + [True]
    assert (lines[-1].alive_steps, lines[-1].judged_steps) == (1, 6)


def test_replaying_the_steps_gives_the_same_lines_and_a_step_may_come_again() -> None:
    shares = [0.5, 0.0, 0.0, 0.0]
    straight, resumed = (HealthMonitor(PATIENT, frozenset()) for _ in range(2))
    for step, share in enumerate(shares, 1):
        expected = straight.update(step, ALIVE | {"gigpo/live_rows": share})
    for step, share in [*enumerate(shares, 1), (2, 0.7), (3, 0.7), *list(enumerate(shares, 1))[1:]]:
        lines = resumed.update(step, ALIVE | {"gigpo/live_rows": share})
    assert lines == expected


def test_stop_ends_the_run_with_what_since_when_and_what_to_do() -> None:
    lines = lines_of({"policy/parameter_change": 0.0}).values()
    stop_if_dead(lines, HealthConfig(patience=3, on_dead="warn"))
    stop_if_dead(lines, HealthConfig(patience=4, on_dead="stop"))
    with pytest.raises(
        RunIsDead, match=r"policy since step 1 \(policy/parameter_change 0, .*look at the learning rate"
    ):
        stop_if_dead(lines, HealthConfig(patience=3, on_dead="stop"))

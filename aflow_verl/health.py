"""Is the run alive? Eight questions, answered after every training step from that step's metrics.

A run can end with exit code 0 and have learned nothing: a learning rate of 0, an advantage of 0 in every row, a critic
that nobody asks. ``HealthMonitor`` reads such things off the metrics and says so. It is pure: it knows numbers and
steps, and replaying the lines of ``metrics.jsonl`` brings it to where it was. docs/health.md has a section a line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal, Protocol

from aflow_verl.errors import UserError

State = Literal["alive", "dead", "no say", "waiting", "off", "unknown"]
"""``no say``: it works, and has not earned a say (the critic's Q); ``waiting``: too early to tell; ``off``: the recipe
asks for it; ``unknown``: a metric that it is read from is missing or not finite."""

MOVING = 1e-8
"""Relative change of the weights in a step, at most which they stand still: at this pace a run of a million steps
changes them by 1 %. One AdamW update at a learning rate of 1e-7 makes about 5e-6."""
LIVE_ROWS = 0.02
"""Share of rows with an advantage, below which there is nothing to learn from: fewer than 10 of the 512 rows of a usual
step (16 rows of 8 sessions of 4 edits). In a step of up to 50 rows a single live row is enough."""
CUT_PROMPTS = 0.5
"""Share of prompts that lost their middle, from which on the policy does not see what it edits."""
SAY = 0.05
"""Mean weight of the critic in a choice, below which nobody can expect that Q changes one."""


class Settings(Protocol):
    """``health`` of a recipe."""

    @property
    def patience(self) -> int:
        """Consecutive steps after which a dead line is said aloud."""

    @property
    def on_dead(self) -> str:
        """``warn`` or ``stop``."""


class RunIsDead(UserError):
    """A line has been dead for ``health.patience`` steps, and the recipe says ``health.on_dead: stop``."""


@dataclass(frozen=True, slots=True)
class Line:
    """The answer to one question after one step."""

    name: str
    question: str
    state: State
    since: int
    """The step since which it is in this state, without a break."""
    steps: int
    """Steps since then, this one included."""
    alive_steps: int
    """Of the whole run, steps in which it was alive,"""
    judged_steps: int
    """out of those in which it could be told."""
    reading: str
    """The metrics that it was read from, with their values."""
    remark: str
    """What its state means and what to do; empty while it is alive or waiting."""


Judge = Callable[..., State]
"""Values of a line's metrics, in their order, None where one is missing -> its state."""


@dataclass(frozen=True, slots=True)
class Question:
    """A line before any step: what is asked, of which metrics, and what to say."""

    name: str
    text: str
    metrics: tuple[str, ...]
    judge: Judge
    dead: str
    """What it means when it is dead, and what to do."""
    off: str = ""
    """What of the recipe turns it off."""
    no_say: str = ""
    first_step: int = 1
    """The first training step that can tell."""


def _above(threshold: float) -> Judge:
    """Alive where the one metric is above the threshold."""

    def judge(value: float | None) -> State:
        if value is None:
            return "unknown"
        return "alive" if value > threshold else "dead"

    return judge


def _advantage(live_rows: float | None) -> State:
    if live_rows is None:
        return "unknown"
    return "alive" if live_rows >= LIVE_ROWS else "dead"


def _moving(change: float | None, gradient: float | None) -> State:
    """A gradient of exactly 0 is dead whatever the change is, for weight decay alone moves weights too."""
    if gradient == 0.0:
        return "dead"
    return _above(MOVING)(change)


def _prompts(cut: float | None, rows: float | None) -> State:
    if cut is None or rows is None:
        return "unknown"
    return "dead" if cut > 0 and cut >= CUT_PROMPTS * rows else "alive"


def _critic(change: float | None, gradient: float | None, nodes: float | None, edits: float | None) -> State:
    """Dead where its weights stand still; without a say until one of its two confidences excludes 0."""
    state = _moving(change, gradient)
    if state != "alive":
        return state
    known = [confidence for confidence in (nodes, edits) if confidence is not None]
    if not known:
        return "unknown"
    return "alive" if max(known) > 0 else "no say"


def _q(alpha: float | None, changed: float | None, confidence: float | None) -> State:
    """Dead where Q should have a say and has none: a confident critic without weight, or a weight without effect.

    ``confidence`` is that of the values by which the step's choices were made: what is earned in a step counts in the
    next one.
    """
    if alpha is None or changed is None:
        return "unknown"
    if changed > 0 and alpha > 0:
        return "alive"
    if alpha >= SAY or (alpha <= 0 and confidence is not None and confidence >= SAY):
        return "dead"
    return "no say"


QUESTIONS: tuple[Question, ...] = (
    Question(
        "policy",
        "is the policy moving?",
        ("policy/parameter_change", "actor/grad_norm"),
        _moving,
        "the policy is not being trained: its weights stand still; look at the learning rate, warm-up, clip_grad and "
        "trainer.critic_warmup (--check names them), and at the advantage line",
    ),
    Question(
        "advantage",
        "is there anything to learn from?",
        ("gigpo/live_rows",),
        _advantage,
        "all sessions of a row end alike, so no reply is better than another; more sessions (rollout.n), a higher "
        "rollout temperature, more problems a row (env.problems), or a benchmark that edits can change",
    ),
    Question(
        "replies",
        "does the policy make workflows?",
        ("search/valid_action_rate",),
        _above(0.0),
        "no reply of the policy made a workflow that runs; look at choices.jsonl for why (invalid), and raise "
        "data.max_response_length or use env.action_format=edit",
    ),
    Question(
        "prompts",
        "does the policy see what it edits?",
        ("env/truncated_prompts", "env/rows"),
        _prompts,
        "at least half of the prompts lost their middle; raise data.max_prompt_length",
    ),
    Question(
        "gains",
        "can rows gain at all?",
        ("env/rows_can_gain",),
        _above(0.0),
        "every row's start already solves all of its problems, so no edit can be seen to help; take harder problems, "
        "more of them a row (env.problems), or a weaker executor",
    ),
    Question(
        "search",
        "does the search find new workflows?",
        ("search/new_workflows",),
        _above(0.0),
        "no edit made a workflow that the tree did not have; widen the edits (env.operators, env.instructions, "
        "env.samples), use env.action_format=code, or end the run: this space may be used up",
    ),
    Question(
        "critic",
        "is the critic better than the score it is shown?",
        ("critic/parameter_change", "critic/grad_norm", "critic/confidence_nodes", "critic/confidence_edits"),
        _critic,
        "the critic is not being trained: its weights stand still; look at critic.optim (--check names it)",
        off="critic.enable is false",
        no_say="the critic has not earned a say: its values tell nothing beyond the score it is shown (no error; give "
        "it more steps, or set search.rl_weight=0 and critic.enable=false)",
        first_step=2,
    ),
    Question(
        "q",
        "does Q change scores and choices?",
        ("search/alpha_effective", "search/q_changed_choice", "search/confidence"),
        _q,
        "the critic has earned a say and Q changes no choice; look at search.rl_weight, search.trust_k, the "
        "exploration constant and env.start (--check names them)",
        off="search.rl_weight is 0",
        no_say="the critic has not earned a say: the search ran without Q (no error)",
        first_step=2,
    ),
)
"""The lines of health, in the order in which a person looks for a fault."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a line and a step."""

    step: int
    state: State
    since: int
    steps: int
    alive_steps: int
    judged_steps: int


class HealthMonitor:
    """The lines of health over a run. A step that comes again replaces what was known of it and of later ones."""

    def __init__(
        self, settings: Settings, off: frozenset[str], first_steps: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """
        Args:
            off: names of the lines that the recipe turns off, see ``expectations``.
            first_steps: line -> the first step that can tell, where it is later than the question's own.
        """
        self.settings = settings
        self._off = off
        self._first_steps = first_steps
        self._seen: dict[str, list[_Seen]] = {question.name: [] for question in QUESTIONS}

    def update(self, step: int, metrics: Mapping[str, Any]) -> tuple[Line, ...]:
        """The lines after ``step`` (from 1), whose metrics are given under the names of ``metrics.jsonl``."""
        return tuple(self._line(question, step, metrics) for question in QUESTIONS)

    def _line(self, question: Question, step: int, metrics: Mapping[str, Any]) -> Line:
        values = [finite(metrics.get(name)) for name in question.metrics]
        state = self._state(question, step, values)
        past = self._seen[question.name]
        while past and past[-1].step >= step:
            past.pop()
        last = past[-1] if past else _Seen(0, state, step, 0, 0, 0)
        again = last.state == state
        seen = _Seen(
            step,
            state,
            last.since if again else step,
            last.steps + 1 if again else 1,
            last.alive_steps + (state == "alive"),
            last.judged_steps + (state in ("alive", "dead", "no say")),
        )
        past.append(seen)
        return Line(
            question.name,
            question.text,
            state,
            seen.since,
            seen.steps,
            seen.alive_steps,
            seen.judged_steps,
            ", ".join(_reading(name, value) for name, value in zip(question.metrics, values, strict=True)),
            _remark(question, state, values),
        )

    def _state(self, question: Question, step: int, values: list[float | None]) -> State:
        if question.name in self._off:
            return "off"
        if step < max(question.first_step, self._first_steps.get(question.name, 1)):
            return "waiting"
        return question.judge(*values)


def expectations(get: Callable[[str], Any]) -> tuple[frozenset[str], dict[str, int]]:
    """``(off, first_steps)`` of a recipe, for ``HealthMonitor``.

    Args:
        get: the value of a dotted key of the recipe; None where there is none.
    """
    off = set()
    if not get("critic.enable"):
        off |= {"critic", "q"}
    if not get("search.rl_weight"):
        off.add("q")
    # verl trains the policy from step trainer.critic_warmup on.
    return frozenset(off), {"policy": int(get("trainer.critic_warmup") or 0)}


def health_metrics(lines: Iterable[Line]) -> dict[str, float]:
    """``health/<line>``: 1 alive, 0 dead or without a say, NaN where nothing can be told."""
    numbers = {"alive": 1.0, "dead": 0.0, "no say": 0.0}
    return {f"health/{line.name}": numbers.get(line.state, math.nan) for line in lines}


def spoken(line: Line, patience: int) -> str | None:
    """The one line to say aloud, once ``line`` has been dead, without a say or unknown for ``patience`` steps."""
    if line.state not in ("dead", "no say", "unknown") or line.steps < patience:
        return None
    since = f"since step {line.since}"
    if line.state == "no say":
        return f"health: {line.name}: {since}: {line.remark} ({line.reading})"
    return f"HEALTH: {line.name} {line.state.upper()} {since}: {line.question} {line.reading}; {line.remark}"


def stop_if_dead(lines: Iterable[Line], settings: Settings) -> None:
    """Raise ``RunIsDead`` if a line has been dead for the recipe's patience and the recipe says ``stop``."""
    dead = [line for line in lines if line.state == "dead" and line.steps >= settings.patience]
    if dead and settings.on_dead == "stop":
        causes = "; ".join(f"{line.name} since step {line.since} ({line.reading}): {line.remark}" for line in dead)
        raise RunIsDead(f"the run is dead, and health.on_dead is stop: {causes}")


def finite(value: Any) -> float | None:
    """A metric as a number; None for what is missing, null, not finite or no number."""
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _reading(name: str, value: float | None) -> str:
    return f"{name} {'missing' if value is None else format(value, '.3g')}"


def _remark(question: Question, state: State, values: list[float | None]) -> str:
    if state == "unknown":
        lacking = [name for name, value in zip(question.metrics, values, strict=True) if value is None]
        return f"nobody can tell without {', '.join(lacking)}"
    return {"dead": question.dead, "no say": question.no_say, "off": f"off: {question.off}"}.get(state, "")

"""Scores and Q have something to say in which workflow is edited next."""

from __future__ import annotations

import math
from collections.abc import Iterator

from aflow_verl.checks.finding import Finding, error, warning
from aflow_verl.checks.machine import Machine
from aflow_verl.recipe.load import Recipe

EXPLORATION = {"ucb": "search.c_ucb", "thompson": "search.c_ucb", "puct": "search.c_puct"}
"""Selector -> the constant that leads its exploration."""
MOST_EXPLORATION = 30.0
"""Of two workflows that differ by a whole typical gain, UCT at this constant gives the better one 55 of 100 visits:
c sqrt(ln 100) (1 / sqrt(45) - 1 / sqrt(55)) is about 1 there."""
LEAST_WEIGHT = 0.01
"""Of Q in a choice: at full confidence a promise of 1.0 counts as much as a score of 0.01."""
LEAST_PREFERENCE = 0.02
"""By how much likelier ``soft_mixed`` has to draw a workflow that leads by 10 points."""
LEAD = 0.1


def exploration(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Exploration leaves the scores something to say."""
    key = EXPLORATION.get(recipe.ours.search.selector)
    constant = recipe.get(key) if key is not None else None
    if key is not None and constant is not None and constant > MOST_EXPLORATION:
        effect = "scores and Q do not count in the search: workflows are edited in turn"
        yield warning(key, effect, f"is {constant:g}", "leave it out, or set it to 1 or less")
    if recipe.ours.search.selector == "soft_mixed":
        yield from _soft_mixed(recipe)


def _soft_mixed(recipe: Recipe) -> Iterator[Finding]:
    rules, key = recipe.ours.search.soft_mixed, "search.soft_mixed"
    if rules.sample < 2:
        yield error(f"{key}.sample", f"a pool of {rules.sample} is always the seed", "set it to 4, as in AFlow")
        return
    others = math.exp(-rules.alpha * 100.0 * LEAD)
    preference = (1.0 - rules.lambda_) * (1.0 - others) / (1.0 + (rules.sample - 1) * others)
    if preference < LEAST_PREFERENCE:
        uniform = rules.lambda_ > 0.5
        name, what = ("lambda_", f"{rules.lambda_:g}") if uniform else ("alpha", f"{rules.alpha:g}")
        effect = f"scores do not count in the search: a lead of 10 points makes a choice {preference:.2g} likelier"
        yield warning(f"{key}.{name}", effect, f"is {what}", "leave it out")


def q_weight(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A Q that is asked for is heard."""
    search = recipe.ours.search
    if 0 < search.rl_weight < LEAST_WEIGHT:
        effect = "Q can't change a choice"
        yield warning("search.rl_weight", effect, f"is {search.rl_weight:g}", "set it to 0.5, or to 0 for no Q")
    elif search.rl_weight > 0:
        once = math.sqrt(search.trust_k / (3.0 + search.trust_k))
        if once < 0.05:
            effect = f"Q is heard on workflows without an edit only: after one its weight is {once:.2g} of what it was"
            yield warning("search.trust_k", effect, f"is {search.trust_k:g}", "set it to 20")


def widening(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """A workflow can have several children."""
    search, edits = recipe.ours.search, _edits(recipe)
    most = search.widening_k * max(1, edits) ** search.widening_a
    if most < 2:
        effect = f"no workflow gets a second child, not even after {edits} edits: the tree is a chain"
        yield warning("search.widening_k", effect, f"is {search.widening_k:g}", "set it to 2.0")


def screening(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Proposals are compared before one of them is paid for (search without training)."""
    if recipe.ours.kind != "search" or not recipe.ours.search.rl_weight:
        return
    nodes, proposals, epsilon = (recipe.get(f"search.screen.{name}") for name in ("nodes", "proposals", "epsilon"))
    effect = "the critic screens no edit"
    if epsilon is not None and epsilon > 0.9:
        yield warning(
            "search.screen.epsilon", effect, f"is {epsilon:g}: the share that is run unscreened", "set it to 0.1"
        )
    elif nodes is not None and nodes * proposals < 2:
        what = f"is {proposals}, on {nodes} workflows: nothing to choose from"
        yield warning("search.screen.proposals", effect, what, "set it to 4")


def starts(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Episodes start where the search has been."""
    start = recipe.ours.env.start
    rows = _steps(recipe) * recipe.get("data.train_batch_size")
    if rows * (start.snapshot + start.random) < 1:
        key = "env.start.root"
        effect = "the shared tree is never used: every episode begins at the seed, and Q steers none of them"
        yield warning(key, effect, f"is {start.root:g}", "give env.start.snapshot a share, for example 0.5")
    elif rows * start.snapshot < 1:
        effect = "the selector never chooses on the shared tree, so neither scores nor Q say what is edited there"
        what = f"is {start.snapshot:g}"
        yield warning("env.start.snapshot", effect, what, "give it a share, for example 0.5")


def _edits(recipe: Recipe) -> int:
    """Edits of the whole run, at most."""
    if recipe.ours.kind == "search":
        return recipe.ours.standalone.rounds
    rows = recipe.get("data.train_batch_size") * recipe.get("actor_rollout_ref.rollout.n")
    return int(_steps(recipe) * rows * recipe.ours.env.steps)


def _steps(recipe: Recipe) -> int:
    return int(recipe.get("trainer.total_training_steps") or 0)

"""What a policy is shown of a workflow. Episodes, the critic's export and the search all show it by ``show``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from aflow_verl.env.actions import ActionFormat, Context, Offer
from aflow_verl.search.gains import gain_interval, paired_gain
from aflow_verl.search.lessons import Lesson, lessons, telling
from aflow_verl.search.node import Node
from aflow_verl.search.view import TreeView
from aflow_verl.types import Evaluation, Grade
from aflow_verl.workflow.edit_kinds import edit_kind

LESSONS = 5
"""Kinds of edit that a prompt shows at most of those that helped, and of those that hurt."""
EXPERIENCE = 10
"""The same for edits of the workflow: a seed may have hundreds."""


def show(
    actions: ActionFormat,
    node: Node,
    score: float,
    tried: frozenset[str],
    experience: Sequence[str],
    learned: Sequence[Lesson],
) -> Offer:
    """The prompt for editing a node.

    Args:
        score: X, or another number that stands for the workflow's score.
        tried: actions that are not offered again.
        experience: lines of ``experience_lines``.
        learned: what the whole tree says of kinds of edit.
    """
    context = Context(tuple(experience), node.failures, tuple(learned))
    return actions.offer(replace(node.state, score=score), tried, context)


def show_in(actions: ActionFormat, tree: TreeView, node_id: str, learned: Sequence[Lesson]) -> Offer:
    """``show`` of a node by all that its tree knows now."""
    return show(actions, tree[node_id], tree.x(node_id), tree.tried(node_id), experience_lines(tree, node_id), learned)


def learned_from(tree: TreeView) -> tuple[Lesson, ...]:
    """The lessons that prompts show."""
    return telling(lessons(tree, kind_of), LESSONS)


def kind_of(parent: Node, child: Node) -> str:
    return edit_kind(parent.state, child.state, child.action)


def experience_lines(tree: TreeView, node_id: str) -> tuple[str, ...]:
    """What was tried on this node, best first, each with its paired gain and interval: the best and the worst
    ``EXPERIENCE`` edits of many.

    Two workflows that share no problem, such as rounds of an imported AFlow workspace, are compared by their means, and
    the line says so. Nothing for a node that the tree lacks.
    """
    if node_id not in tree:
        return ()
    node, noise = tree[node_id], tree.estimates().noise
    tried = sorted(
        (_compared(tree[child_id], node, noise) for child_id in tree.children(node_id)), key=lambda found: -found[0]
    )
    if len(tried) > 2 * EXPERIENCE:
        tried = [*tried[:EXPERIENCE], *tried[-EXPERIENCE:]]
    return tuple(line for _, line in tried)


def failure_lines(evaluation: Evaluation, asked: Mapping[str, str], limit: int) -> tuple[str, ...]:
    """At most ``limit`` problems without the full score: what was asked and what came out, never the reference.

    Args:
        asked: problem id -> its text.
    """
    failed = [grade for grade in evaluation.grades if grade.score < 1.0]
    return tuple(_failure(asked.get(grade.problem_id, ""), grade) for grade in failed[:limit])


def _failure(prompt: str, grade: Grade) -> str:
    outcome = f"Error: {grade.error}" if grade.error else f"Answer: {grade.answer}"
    return f"Problem: {prompt}\n{outcome}\nScore: {grade.score:g}"


def _compared(child: Node, node: Node, noise: float) -> tuple[float, str]:
    """(gain, line)."""
    gain = paired_gain(child, node)
    if gain.n:
        low, high = gain_interval(gain, noise)
        return gain.mean, f"{gain.mean:+.2f} [{low:+.2f}, {high:+.2f}] on {gain.n} problems: {child.action}"
    difference = child.mean - node.mean
    return difference, f"{difference:+.2f} between mean scores, on no problem both: {child.action}"

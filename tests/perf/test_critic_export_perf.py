"""Scoring a tree of nodes: prompts in batches and shared by siblings, against one forward a value."""

import random
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification

from aflow_verl.critic.shared_prompt import SharedPromptGroup, score_groups

PARENTS, CHILDREN, PROMPT_TOKENS, BATCH = 24, 8, 64, 24
ROUNDS = 3
NODES = PARENTS * (1 + CHILDREN)


def _tree(seed: int) -> tuple[list[SharedPromptGroup], list[SharedPromptGroup]]:
    """(parents with their children's actions, leaves): every node has a V, every child a Q."""
    draw = random.Random(seed)

    def prompt() -> tuple[int, ...]:
        return tuple(draw.randrange(3, 250) for _ in range(PROMPT_TOKENS + draw.randrange(-8, 9)))

    parents = [SharedPromptGroup(prompt(), tuple((20 + k, 2) for k in range(CHILDREN))) for _ in range(PARENTS)]
    leaves = [SharedPromptGroup(prompt()) for _ in range(PARENTS * CHILDREN)]
    return parents, leaves


@pytest.mark.perf
@torch.no_grad()
def test_nodes_a_second(tiny_policy: Path) -> None:
    critic = AutoModelForTokenClassification.from_pretrained(tiny_policy, num_labels=1, dtype=torch.float32).eval()
    parents, leaves = _tree(0)

    def value(ids: tuple[int, ...], position: int) -> float:
        return float(critic(input_ids=torch.tensor([ids])).logits[0, position, 0])

    def one_by_one() -> list[float]:
        values = [value(group.prompt_ids, -1) for group in [*parents, *leaves]]
        for group in parents:
            values += [value(group.prompt_ids + action, -2) for action in group.action_ids]
        return values

    def shared() -> list[float]:
        groups = [*parents, *leaves]
        batches = [groups[k : k + BATCH] for k in range(0, len(groups), BATCH)]
        scores = [score for batch in batches for score in score_groups(critic, batch, device="cpu")]
        return [v for v, _ in scores] + [q for _, q_A in scores for q in q_A]

    timings = {}
    for name, score in (("one by one", one_by_one), ("shared", shared)):
        rounds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            values = score()
            rounds.append(time.perf_counter() - started)
        timings[name] = min(rounds), values
    assert timings["shared"][1] == pytest.approx(timings["one by one"][1], abs=1e-4)
    ratio = timings["one by one"][0] / timings["shared"][0]
    print(
        f"\ncritic export, {NODES} nodes, prompts of {PROMPT_TOKENS} tokens, tiny model: "
        f"{NODES / timings['shared'][0]:.0f} nodes/s, {ratio:.1f} times one by one"
    )
    assert ratio >= 5

"""The policy's window holds a prompt and a reply, and there is something to reply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aflow_verl.checks.benchmarks import CODE_TASKS
from aflow_verl.checks.finding import Finding, error, warning
from aflow_verl.checks.machine import Machine
from aflow_verl.checks.vocabulary import tokenizer_file
from aflow_verl.config import AflowConfig
from aflow_verl.env.actions import Offer
from aflow_verl.env.factory import action_format
from aflow_verl.errors import AflowVerlError
from aflow_verl.recipe.load import Recipe
from aflow_verl.types import Message
from aflow_verl.workflow.state import seed_state

CHAT_TOKENS = 8
"""A chat template's own, at least: two turns with their ends and the header of the reply."""
LEAST_REPLY = {
    "edit": (2, "a label and the end"),
    "code": (256, "a workflow"),
    "suggest": (16, "a sentence"),
}


def response(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Room for a reply: an edit is a label and the end of the turn."""
    least, thing = LEAST_REPLY[recipe.ours.env.action_format]
    for key in ("data.max_response_length", "actor_rollout_ref.rollout.response_length"):
        if (length := recipe.get(key)) < least:
            yield error(key, f"{length} tokens can't hold {thing}", f"set it to {least} or more")
            return


def prompt(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """Room for the shortest prompt that there is: the seed workflow, before anything is known of it."""
    needed = max((shortest_prompt(recipe, offer) for offer in _offers(recipe.ours)), default=0)
    for key, room in _rooms(recipe):
        if room < needed:
            what = f"leaves {room} tokens, and the shortest prompt has at least {needed}: it would lose its middle"
            yield error(key, what, f"set data.max_prompt_length to {4 * needed} or so")
            return


def edits(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    """An ``edit`` policy has edits to choose from."""
    for offer in _offers(recipe.ours):
        if offer.replies is not None and len(offer.replies) < 3:
            effect = f"the policy has {len(offer.replies) - 1} edit of the seed to choose from, and to stop"
            todo = "offer more operators, instructions (env.instructions) or sample counts (env.samples)"
            yield warning("env.operators", effect, f"is {', '.join(recipe.ours.env.operators)}", todo)
            return


def shortest_prompt(recipe: Recipe, offer: Offer) -> int:
    """Tokens of the offer's shortest prompt: counted where the policy's tokenizer lies here, else a token a word.

    No tokenizer that splits text at white space, as all of the common ones do, makes fewer tokens than words.
    """
    texts = [str(message["content"]) for message in _shortest(offer)]
    tokenizer = _tokenizer(recipe.get("actor_rollout_ref.model.path"))
    if tokenizer is None:
        return CHAT_TOKENS + sum(len(text.split()) for text in texts)
    return CHAT_TOKENS + sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)


def _tokenizer(path: str | None) -> Any:
    """The policy's, where it lies here and can be read; whether it can is for those who load the model to say."""
    file = tokenizer_file(path)
    if file is None:
        return None
    from tokenizers import Tokenizer  # light, but not needed for a model that is fetched later

    try:
        return Tokenizer.from_file(str(file))
    except Exception:  # the library raises nothing narrower
        return None


def _shortest(offer: Offer) -> Sequence[Message]:
    return offer.shorter[-1] if offer.shorter else offer.messages


def _rooms(recipe: Recipe) -> Iterator[tuple[str, int]]:
    """Every key that bounds a prompt, with the tokens that it leaves."""
    for key in ("data.max_prompt_length", "actor_rollout_ref.rollout.prompt_length"):
        yield key, recipe.get(key)
    window = recipe.get("actor_rollout_ref.rollout.max_model_len")
    if window is not None:
        yield "actor_rollout_ref.rollout.max_model_len", max(0, window - recipe.get("data.max_response_length"))


def _offers(ours: AflowConfig) -> Iterator[Offer]:
    """What the policy is shown of each benchmark's seed workflow; nothing where the recipe's edits are wrong."""
    for name in dict.fromkeys(benchmark.name for benchmark in ours.benchmark):
        seed = seed_state(name, ours.env.operators, code_task=name in CODE_TASKS)
        try:
            yield action_format(ours, "", _nobody).offer(seed, frozenset())
        except (AflowVerlError, ValueError, KeyError):
            return  # operators and instructions have checks of their own


async def _nobody(messages: list[Message]) -> str:
    raise NotImplementedError("a check asks no editor")

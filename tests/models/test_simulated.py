"""The simulated model has the skill that its landscape says."""

import pytest

from aflow_verl.benchmarks.answers import last_number
from aflow_verl.models.landscape import CHOICE_MARKER, LANDSCAPES, PROGRAM_MARKER, Landscape, answer_of, wrong_answer
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.types import Message, SamplingParams
from aflow_verl.workflow.instructions import LIBRARY


def problem(i: int) -> str:
    return f"Simulated problem 0-{i}: what is its number?"


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


async def share_right(client: SimulatedClient, prefix: str, params: SamplingParams, n: int = 600) -> float:
    replies = [await client.complete(ask(prefix + problem(i)), params) for i in range(n)]
    return sum(reply.text == answer_of(problem(i)) for i, reply in enumerate(replies)) / n


async def test_skill_by_kind_of_call() -> None:
    client = SimulatedClient(LANDSCAPES["one_good_edit"], name="one_good_edit")
    assert abs(await share_right(client, "", SamplingParams()) - 0.2) < 0.05
    assert abs(await share_right(client, f"Write {PROGRAM_MARKER}. ", SamplingParams()) - 0.9) < 0.05


async def test_replies_repeat_and_samples_differ() -> None:
    client, again = SimulatedClient(LANDSCAPES["flat"]), SimulatedClient(LANDSCAPES["flat"])
    other = SimulatedClient(LANDSCAPES["flat"], seed=1)
    draws = [SamplingParams(temperature=0.7, sample_index=i) for i in range(40)]

    async def texts(c: SimulatedClient) -> list[str]:
        return [(await c.complete(ask(problem(5)), p)).text for p in draws]

    assert await texts(client) == await texts(again)
    assert await texts(client) != await texts(other)
    assert len(set(await texts(client))) > 5
    assert client.fingerprint == again.fingerprint != other.fingerprint
    assert "simulated" in client.fingerprint


async def test_greedy_calls_do_not_depend_on_the_index() -> None:
    client = SimulatedClient(LANDSCAPES["flat"])
    texts = {(await client.complete(ask(problem(1)), SamplingParams(sample_index=i))).text for i in range(10)}
    assert len(texts) == 1


async def test_a_vote_finds_the_most_frequent_solution() -> None:
    options = f"{problem(3)}\n\nA: 1111\nB: 2222\nC: 2222\n\n{CHOICE_MARKER}"
    always = SimulatedClient(Landscape(custom=0.0, choice=1.0))
    assert (await always.complete(ask(options), SamplingParams())).text == "B"
    never = SimulatedClient(Landscape(custom=0.0, choice=0.0))
    drawn = [
        (await never.complete(ask(options), SamplingParams(temperature=1.0, sample_index=i))).text for i in range(60)
    ]
    assert set(drawn) == {"A", "B", "C"}


async def test_a_trap_pays_at_once_and_the_list_pays_with_the_step_after_it() -> None:
    client = SimulatedClient(LANDSCAPES["trap"], name="trap")
    instruct, check = LIBRARY["list_items"], LIBRARY["check"]

    async def after(first: str, second: str, n: int = 600) -> float:
        """Share of right answers of a step that is shown what the first one replied."""
        right = 0
        for i in range(n):
            draft = (await client.complete(ask(first + problem(i)), SamplingParams())).text
            text = f"{second}{problem(i)}\n\nDraft answer: {draft}"
            right += (await client.complete(ask(text), SamplingParams())).text == answer_of(problem(i))
        return right / n

    reply = (await client.complete(ask(instruct + problem(0)), SamplingParams())).text
    assert reply.startswith("Items found: ")
    assert await share_right(client, f"Write {PROGRAM_MARKER}. ", SamplingParams()) == pytest.approx(0.5, abs=0.06)
    assert await after("", check) == pytest.approx(0.2, abs=0.05)
    assert await after(instruct, check) == pytest.approx(0.95, abs=0.04)
    assert await after(instruct, f"Write {PROGRAM_MARKER}. ") == pytest.approx(0.95, abs=0.04)
    assert await after(f"Write {PROGRAM_MARKER}. ", check) == pytest.approx(0.2, abs=0.05), "it leads nowhere"
    listed = [(await client.complete(ask(instruct + problem(i)), SamplingParams())).text for i in range(600)]
    right = sum(last_number(text) == answer_of(problem(i)) for i, text in enumerate(listed))
    assert right / 600 == pytest.approx(0.3, abs=0.05), "a list alone helps little"


async def test_other_prompts_get_an_empty_reply() -> None:
    client = SimulatedClient(LANDSCAPES["flat"])
    assert (await client.complete(ask("Who are you?"), SamplingParams())).text == ""


def test_wrong_answers_are_wrong_and_look_alike() -> None:
    for i in range(200):
        wrong = wrong_answer(problem(i), i)
        assert wrong != answer_of(problem(i))
        assert len(wrong) == len(answer_of(problem(i))) == 4

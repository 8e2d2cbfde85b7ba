"""The simulated model has the skill that its landscape says."""

from aflow_verl.models.landscape import CHOICE_MARKER, LANDSCAPES, PROGRAM_MARKER, Landscape, answer_of, wrong_answer
from aflow_verl.models.simulated import SimulatedClient
from aflow_verl.types import Message, SamplingParams


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


async def test_other_prompts_get_an_empty_reply() -> None:
    client = SimulatedClient(LANDSCAPES["flat"])
    assert (await client.complete(ask("Who are you?"), SamplingParams())).text == ""


def test_wrong_answers_are_wrong_and_look_alike() -> None:
    for i in range(200):
        wrong = wrong_answer(problem(i), i)
        assert wrong != answer_of(problem(i))
        assert len(wrong) == len(answer_of(problem(i))) == 4

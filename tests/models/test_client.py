"""The key of a call, which stored replies are found by for good."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.models.client import request_key
from aflow_verl.types import Message, SamplingParams

TEXTS = st.text(alphabet=st.characters(), max_size=30)
MESSAGES = st.lists(st.builds(lambda role, content: Message(role=role, content=content), TEXTS, TEXTS), max_size=3)
NUMBERS = st.one_of(st.integers(0, 3), st.floats(0.0, 2.0))
PARAMS = st.builds(
    SamplingParams,
    temperature=NUMBERS,
    max_tokens=st.integers(1, 10**6),
    top_p=NUMBERS,
    stop=st.lists(TEXTS, max_size=2).map(tuple),
    sample_index=st.integers(0, 10**6),
)


@given(TEXTS, MESSAGES, PARAMS)
def test_a_key_is_the_hash_of_the_calls_json(fingerprint: str, messages: list[Message], params: SamplingParams) -> None:
    drawn = {"temperature": params.temperature, "max_tokens": params.max_tokens, "stop": params.stop}
    if params.temperature > 0:
        drawn |= {"sample_index": params.sample_index, "top_p": params.top_p}
    text = json.dumps([fingerprint, messages, drawn], sort_keys=True)
    assert request_key(fingerprint, messages, params) == hashlib.sha256(text.encode()).hexdigest()


def test_a_number_is_keyed_as_it_is_written() -> None:
    keys = {request_key("m", [], SamplingParams(temperature=t, sample_index=3)) for t in (0, 0.0, 1, 1.0)}
    assert len(keys) == 4
    assert len({request_key("m", [], SamplingParams(sample_index=k)) for k in range(3)}) == 1

import json
import pickle

import numpy as np
import pytest

from aflow_verl.errors import RecipeError
from aflow_verl.search.experience import ExperiencePool, ExperienceRecord


def record(parent: str, modification: str, before: float, after: float | None, **more) -> ExperienceRecord:
    child = None if after is None else f"{parent}+{modification}"
    interval = None if after is None else (after - before - 0.5, after - before + 0.5)
    return ExperienceRecord(parent, child, modification, before, after, 0 if after is None else 6, interval, **more)


@pytest.fixture
def pool() -> ExperiencePool:
    return ExperiencePool(
        [
            record("a", "vote", 0.5, 0.75, operators=("Custom", "ScEnsemble"), surprise=0.0),
            record("a", "shout", 0.5, 0.25, operators=("Custom",), surprise=0.9),
            record("a", "again", 0.5, 0.5, operators=("Custom",)),
            record("a", "nonsense", 0.5, None),
            record("a", "code", 0.5, 1.0, operators=("Programmer",), surprise=0.1),
            record("b", "vote", 0.75, 0.9, operators=("ScEnsemble",), surprise=0.1),
        ]
    )


def test_outcomes_and_lines(pool):
    vote, shout, again, nonsense, *_ = pool
    assert [r.outcome for r in (vote, shout, again, nonsense)] == ["helped", "hurt", "same", "invalid"]
    assert vote.line == "+0.25 [-0.25, +0.75] on 6 problems: vote"
    assert nonsense.line == "not usable: nonsense"
    assert nonsense.gain is None


def test_queries(pool):
    assert [r.modification for r in pool.query(node="b")] == ["vote"]
    assert [r.modification for r in pool.query(operator="ScEnsemble")] == ["vote", "vote"]
    assert [r.modification for r in pool.query(node="a", outcome="hurt")] == ["shout"]
    assert [r.modification for r in pool.query(min_after=0.8)] == ["code", "vote"]


def test_a_prompt_is_shown_what_helped_and_what_hurt_here(pool):
    shown = pool.shown("a")
    assert [r.modification for r in shown.helped] == ["code", "vote"]
    assert [r.modification for r in shown.hurt] == ["shout"]
    assert [r.modification for r in pool.shown("a", limit=1).helped] == ["code"]
    later = pool.extended([record("a", "code", 0.5, 0.4)])
    assert [r.modification for r in later.shown("a").hurt] == ["shout", "code"], "the latest word on an edit counts"
    assert len(pool) == 6


def test_sampling(pool):
    rng = np.random.default_rng(0)
    assert [r.modification for r in pool.sample("best", 2, rng)] == ["code", "vote"]
    assert [r.parent for r in pool.sample("recent", 2, rng)] == ["b", "a"]
    for how in ("uniform", "surprising"):
        assert len(set(pool.sample(how, 4, rng))) == 4
        assert len(pool.sample(how, 99, rng)) == 6
        assert pool.sample(how, 3, np.random.default_rng(1)) == pool.sample(how, 3, np.random.default_rng(1))
        assert ExperiencePool().sample(how, 3, rng) == ()
    with pytest.raises(RecipeError, match="'worst' is not one of uniform, best"):
        pool.sample("worst", 1, rng)


def test_surprise_is_drawn_more_often(pool):
    rng = np.random.default_rng(0)
    drawn = [pool.sample("surprising", 1, rng)[0].modification for _ in range(400)]
    assert drawn.count("shout") > 0.4 * 400  # .9 of 1.65: the average .275 stands in for the two that have none
    assert drawn.count("shout") < 0.7 * 400


def test_round_trips(pool):
    for kept in pool:
        assert ExperienceRecord.from_json(json.loads(json.dumps(kept.to_json()))) == kept
    assert list(pickle.loads(pickle.dumps(pool))) == list(pool)

"""Every attack on every backend: none gets anywhere, the host stays awake, and the next run is clean."""

import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from attacks.attack import Attack
from attacks.table import ATTACKS, FAMILIES, QUICK
from attacks.trial import CLEAN, CLEAN_MONTY, Target, live_descendants, target, violations
from attacks.world import World, open_world
from backends import BACKENDS, opened

pytestmark = [
    pytest.mark.usefixtures("orphans_come_to_us"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_world(plain=False) as opened_world:
        yield opened_world


_FIRST = ("monty", "process")
"""The others are variations of these."""


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[pytest.param(name, marks=() if name in _FIRST else pytest.mark.slow) for name in BACKENDS],
)
async def attacked(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Target]:
    before = live_descendants()
    async with opened(request.param) as sandbox:
        yield await target(sandbox, CLEAN_MONTY if request.param == "monty" else CLEAN)
    assert live_descendants() == before, "processes of the sandbox outlive it"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.name in QUICK], ids=lambda a: a.name)
async def test_likely_attack(attack: Attack, attacked: Target, world: World) -> None:
    assert await violations(attack, attacked, world) == []


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_attack(attack: Attack, attacked: Target, world: World) -> None:
    assert await violations(attack, attacked, world) == []


def test_there_are_enough_attacks_and_each_has_a_name() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) >= 60
    assert set(QUICK) <= set(names)
    assert all(set(QUICK) & {attack.name for attack in family} for family in FAMILIES.values())

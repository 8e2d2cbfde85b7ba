"""The attacks on a plain interpreter, where those that say so must succeed: else the suite would prove nothing."""

import os
import sys
from dataclasses import replace

import pytest
from attacks.attack import Attack
from attacks.plain import run_plainly, serving
from attacks.table import ATTACKS
from attacks.trial import CLEAN_MONTY, live_descendants, target, violations
from attacks.world import open_world

from aflow_verl.sandbox.remote import RemoteSandbox

pytestmark = [
    pytest.mark.usefixtures("orphans_come_to_us"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]
QUICK = ("environment", "creating", "unix_abstract", "signals_to_the_host", "daemon", "becoming_a_program")
STRONG = [a for a in ATTACKS if a.gets_through and (os.geteuid() == 0 or not a.needs_root)]


TRIES = 3
"""On a busy machine an attack may be too slow to be seen once."""


async def gets_through(attack: Attack) -> bool:
    for _ in range(TRIES):
        if await achieved(attack):
            return True
    return False


async def achieved(attack: Attack) -> list[str]:
    attack = replace(attack, seconds=30.0)  # nothing is to be stopped here by a slow machine, either
    others = live_descendants()
    async with serving(run_plainly) as url, RemoteSandbox(url) as plain:
        with open_world(plain=True) as world:
            found = await violations(attack, await target(plain, CLEAN_MONTY), world, grace_s=0.2)
    for pid in set(live_descendants()) - set(others):
        os.kill(pid, 9)
    return found


@pytest.mark.parametrize("attack", [attack for attack in STRONG if attack.name in QUICK], ids=lambda a: a.name)
async def test_a_likely_attack_gets_through(attack: Attack) -> None:
    assert await gets_through(attack)


@pytest.mark.slow
@pytest.mark.parametrize("attack", STRONG, ids=lambda attack: attack.name)
async def test_an_attack_gets_through(attack: Attack) -> None:
    assert await gets_through(attack)


def test_most_families_have_attacks_that_would_get_through() -> None:
    assert len(STRONG) >= 60

"""All attacks."""

from attacks import channel, exhaustion, kernel, loops, network, persistence, processes, reading, values, writing
from attacks.attack import Attack

FAMILIES = {
    "reading": reading.ATTACKS,
    "writing": writing.ATTACKS,
    "network": network.ATTACKS,
    "processes": processes.ATTACKS,
    "loops": loops.ATTACKS,
    "exhaustion": exhaustion.ATTACKS,
    "kernel": kernel.ATTACKS,
    "channel": channel.ATTACKS,
    "values": values.ATTACKS,
    "persistence": persistence.ATTACKS,
}
ATTACKS: tuple[Attack, ...] = tuple(attack for family in FAMILIES.values() for attack in family)

QUICK = (
    *(
        "environment",
        "readable_file",
        "relative_to_a_descriptor",
        "memory_of_others",
        "creating",
        "tcp",
        "unix_abstract",
    ),
    *("signals_to_the_host", "starting_a_program", "daemon", "exit_zero", "loop_that_ignores_signals", "bytes"),
    *("raising_limits", "unshare_user", "io_uring", "forged_replies", "flood_of_output", "closing_everything"),
    *("evil_methods", "shared_list", "error_with_an_evil_text", "patched_builtins", "emptied_modules"),
)
"""Of each family what a mistake is likeliest to let through; the others take a minute for each backend."""

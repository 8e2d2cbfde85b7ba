"""reasoning-gym tasks whose verifier may see the text of a model in this process; the others' run in the sandbox.

Several verifiers of reasoning-gym hand the answer to ``eval`` or to sympy's parser, which evaluates as well: a model's
text would run as Python in the process that holds the keys. The tasks below do not. Established by reading the source
of version 0.1.25: ``score_answer``, and every function that it can reach, uses nothing but plain data, functions of
the package read in the same way, and libraries that evaluate no text. ``tests/benchmarks/test_verifiers.py`` reads the
installed version again and fails where it differs from this list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aflow_verl.benchmarks.sandboxed.run import call_sandboxed
from aflow_verl.benchmarks.task_rules import ALL_OR_NOTHING, RULES, admissible
from aflow_verl.sandbox.base import ProgramSandbox
from aflow_verl.sandbox.limits import Limits

_NAMES = """
ab acre advanced_geometry aiw arc_1d arc_agi base_conversion basic_arithmetic bf binary_alternation boxnet
caesar_cipher calendar_arithmetic chain_sum circuit_logic color_cube_rotation complex_arithmetic count_bits
count_primes course_schedule cryptarithm decimal_arithmetic decimal_chain_sum dice emoji_mystery family_relationships
figlet_font fraction_simplification futoshiki game_of_life game_of_life_halting gcd graph_color group_anagrams
gsm_symbolic isomorphic_strings jugs kakurasu knight_swap knights_knaves largest_island lcm leg_counting
letter_counting letter_jumble list_functions mahjong_puzzle manipulate_matrix maze mini_sudoku modulo_grid
needle_haystack number_filtering number_format number_sequence palindrome_generation palindrome_partitioning path_star
polynomial_equations power_function prime_factorization products propositional_logic quantum_lock ransom_note rearc
rectangle_count rotate_matrix rotten_oranges rush_hour self_reference sentence_reordering shortest_path
simple_equations simple_geometry spell_backward string_manipulation string_splitting string_synthesis sudoku survo
syllogism time_intervals tower_of_hanoi tsumego word_ladder word_sequence_reversal word_sorting zebra_puzzles
"""
SAFE_TASKS = frozenset(_NAMES.split())
"""Verified in a thread of this process."""
PRELOAD = ("aflow_verl.benchmarks.sandboxed.warm_verifier",)
"""What verification in the sandbox finds imported there."""
LIMITS = Limits(seconds=10.0, memory_mb=512)
"""Of one verification in the sandbox; sympy's simplification of an integral takes up to 2 s."""


def needs_sandbox(task: str) -> bool:
    """Whether answers to the task are verified in the sandbox."""
    return task not in SAFE_TASKS and task not in RULES


async def verify(
    task: str,
    settings: Mapping[str, Any],
    dataset: Any,
    entry: Mapping[str, Any],
    candidates: Sequence[str],
    programs: ProgramSandbox,
) -> float:
    """The best score of ``candidates``, in [0, 1]; 0 for one that the verifier stumbles over or takes too long for.

    ``dataset``: the task's own, asked here where it is harmless; ``task`` and ``settings`` make it anew in the sandbox.
    Raises SandboxUnavailable.
    """
    seen = [candidate for candidate in dict.fromkeys(candidates) if admissible(task, candidate, entry)]
    if not seen:
        return 0.0
    if task in RULES:
        return max(RULES[task](candidate, entry) for candidate in seen)
    if task in SAFE_TASKS:
        score = await asyncio.to_thread(lambda: max(_ask(dataset, candidate, entry) for candidate in seen))
    else:
        data = {"task": task, "settings": settings, "entry": entry, "candidates": seen}
        value = await call_sandboxed(programs, "reasoning_gym", "verifier", "best_score", data, LIMITS)
        score = float(value) if isinstance(value, int | float) else 0.0
    score = min(1.0, max(0.0, score)) if score == score else 0.0
    return float(score == 1.0) if task in ALL_OR_NOTHING else score


def _ask(dataset: Any, candidate: str, entry: Mapping[str, Any]) -> float:
    try:
        return float(dataset.score_answer(candidate, entry))
    except Exception:
        return 0.0

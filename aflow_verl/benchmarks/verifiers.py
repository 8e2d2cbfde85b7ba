"""reasoning-gym tasks whose verifier may see the text of a model.

Several verifiers of reasoning-gym hand the answer to ``eval`` or to sympy's parser, which evaluates as well: a model's
text would run as Python in the process that holds the keys. The tasks below do not. Established by reading the source
of version 0.1.25: ``score_answer``, and every function that it can reach, uses nothing but plain data, functions of
the package read in the same way, and libraries that evaluate no text. ``tests/benchmarks/test_verifiers.py`` reads the
installed version again and fails where it differs from this list.
"""

from __future__ import annotations

REFUSAL = "its verifier evaluates answers as code, or is not known not to"
"""Why a task that is not in the list is refused."""

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

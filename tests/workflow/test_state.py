"""The canonical hash: what it sees and what it is blind to."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aflow_verl.workflow.graph_source import normalize_code, prompt_constants, with_header, write_prompts
from aflow_verl.workflow.pipeline import Pipeline, Step, write
from aflow_verl.workflow.state import SEED_CODE, WorkflowState, seed_state

OPERATORS = ("Custom", "ScEnsemble", "Programmer")
CODE = """
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.custom = operator.Custom(create_llm_instance(llm_config))

    async def __call__(self, problem):
        reply = await self.custom(input=problem, instruction=prompt_custom.SOLVE)
        return reply["response"], 0.0
"""
PROMPTS = 'SOLVE = "Solve it."\n'
HEADERS = [
    "from typing import Literal\n"
    "import metagpt.ext.aflow.scripts.optimized.GSM8K.workflows.template.operator as operator\n"
    "import metagpt.ext.aflow.scripts.optimized.GSM8K.workflows.round_7.prompt as prompt_custom\n"
    "from metagpt.provider.llm_provider_registry import create_llm_instance\n"
    "from metagpt.utils.cost_manager import CostManager\n\n"
    'DatasetType = Literal["HumanEval", "GSM8K"]\n',
    "import workspace.MATH.workflows.template.operator as operator\n"
    "import workspace.MATH.workflows.round_2.prompt as prompt_custom\n"
    "from scripts.async_llm import create_llm_instance\nfrom scripts.evaluator import DatasetType\n",
    "from my.own.place import create_llm_instance\nimport my.own.operator as operator\n",
]


def state(code: str = CODE, prompts: str = PROMPTS, **changes: object) -> WorkflowState:
    return WorkflowState(**{"dataset": "d", "code": code, "prompts": prompts, "operators": OPERATORS, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("header", HEADERS)
def test_the_import_header_is_not_part_of_the_identity(header: str) -> None:
    assert state(header + CODE).hash == state().hash


def test_comments_docstrings_annotations_and_formatting_are_not_part_of_the_identity() -> None:
    other = '''
class Workflow:
    """A workflow."""
    def __init__(self, name: str, llm_config: dict, dataset: "DatasetType") -> None:
        """Set up."""
        self.custom = operator.Custom(
            create_llm_instance(llm_config),
        )  # the operator
    async def __call__(self, problem: str) -> tuple:
        reply = (await self.custom(input = problem,
                                   instruction=prompt_custom.SOLVE))
        return reply['response'], 0.0
'''
    assert state(other, 'SOLVE = """Solve """ "it."  # same text').hash == state().hash


def test_score_and_history_are_not_part_of_the_identity() -> None:
    assert state(score=0.5, history=("a",)).hash == state().hash


def test_operators_are_a_set() -> None:
    assert state(operators=OPERATORS[::-1]).hash == state().hash
    assert state(operators=OPERATORS[:2]).hash != state().hash


@pytest.mark.parametrize(
    "other",
    [
        state(dataset="e"),
        state(CODE.replace("0.0", "1.0")),
        state(prompts='SOLVE = "Solve it. "\n'),
        state(CODE.replace("SOLVE", "OTHER"), 'OTHER = "Solve it."\n'),
    ],
)
def test_what_changes_a_run_changes_the_hash(other: WorkflowState) -> None:
    assert other.hash != state().hash


def test_constants_that_the_code_never_reads_do_not_count() -> None:
    assert state(prompts=PROMPTS + 'UNUSED = "x"\n').hash == state().hash


def test_all_constants_count_where_the_module_is_used_as_a_value() -> None:
    code = CODE.replace("prompt_custom.SOLVE", 'getattr(prompt_custom, "SOLVE")')
    assert state(code, PROMPTS + 'UNUSED = "x"\n').hash != state(code).hash


@pytest.mark.parametrize("broken", ["class Workflow(:", "x\0y", "-" * 60_000 + "1", "1" + "+1" * 20_000])
def test_text_that_is_no_program_still_has_a_hash(broken: str) -> None:
    assert state(broken).hash == state(f"\n{broken}  \n").hash != state().hash
    assert state(prompts=broken).hash == state(prompts=broken + "\n").hash != state().hash


def test_the_hash_is_16_hex_digits_and_stable() -> None:
    assert seed_state("letter_counting", OPERATORS).hash == "b577ac7cb6171bea"


def test_the_seed_is_the_one_step_pipeline() -> None:
    assert write(Pipeline((Step("Custom"),))) == (SEED_CODE, "")


def test_the_header_that_is_written_is_recognised() -> None:
    code = with_header(CODE, "GSM8K", "round_3")
    assert "workspace.GSM8K.workflows.round_3.prompt as prompt_custom" in code
    assert normalize_code(code) == normalize_code(CODE)
    ast.parse(code)


@given(st.dictionaries(st.sampled_from(["A", "B", "LONG_NAME"]), st.text(st.characters(exclude_categories=["Cs"]))))
def test_prompt_constants_survive_writing(constants: dict[str, str]) -> None:
    assert prompt_constants(write_prompts(constants)) == constants


@given(st.integers(0, 5), st.sampled_from(["", "    ", "# note\n"]))
def test_blank_lines_and_comments_anywhere_between_statements(blank: int, extra: str) -> None:
    spread = ("\n" * (blank + 1)).join(line for line in CODE.splitlines() if line) + "\n" + extra
    assert state(spread).hash == state().hash


def test_other_statements_of_a_prompt_module_are_ignored() -> None:
    assert prompt_constants('import os\nA = "a"\nB = A + "b"\nC = 3\nA = "z"\n') == {"A": "z"}

"""The state of the search: one whole workflow, and the hash that says when two are the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from aflow_verl.workflow.graph_source import UNPARSABLE, normalize_code, prompt_constants, used_prompts

SEED_CODE = """\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.name = name
        self.dataset = dataset
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)

    async def __call__(self, problem):
        solution = (await self.custom(input=problem, instruction=""))["response"]
        return solution, self.llm.get_usage_summary()["total_cost"]
"""
"""AFlow's ``round_1``: the question goes to the model as it is."""
CODE_SEED_CODE = """\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.name = name
        self.dataset = dataset
        self.llm = create_llm_instance(llm_config)
        self.custom_code_generate = operator.CustomCodeGenerate(self.llm)

    async def __call__(self, problem, entry_point):
        solution = (
            await self.custom_code_generate(problem=problem, entry_point=entry_point, instruction="")
        )["response"]
        return solution, self.llm.get_usage_summary()["total_cost"]
"""
"""AFlow's ``round_1`` of code tasks, whose workflows are also given the name of the function to write."""


@dataclass(frozen=True)
class WorkflowState:
    """One workflow of one dataset. ``hash`` identifies it: in the tree, in the caches and as GiGPO's anchor."""

    dataset: str
    code: str
    """AFlow's ``graph.py``: class ``Workflow``. An import header is allowed and ignored."""
    prompts: str
    """AFlow's ``prompt.py``: ``NAME = "text"`` constants."""
    operators: tuple[str, ...]
    """Names of the operators that the workflow may use."""
    score: float | None = None
    """Mean score where it is known; what the policy is shown. Not part of the identity."""
    history: tuple[str, ...] = ()
    """The edits that made it out of the seed, oldest first. Not part of the identity."""

    @cached_property
    def hash(self) -> str:
        """16 hex digits of dataset, normalised code, normalised prompts and the set of operators.

        Blind to formatting, comments, docstrings, annotations, AFlow's import header, and to prompt constants that
        the code never reads (they can't change a run). Prompt texts count to the letter, since the model sees them.
        The normal form is Python's own (``ast.unparse``), so a store belongs to one minor version of Python.
        """
        parts = [self.dataset, normalize_code(self.code), _normalize_prompts(self.prompts, self.code)]
        text = json.dumps([*parts, sorted(set(self.operators))])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _normalize_prompts(prompts: str, code: str) -> str:
    """Sorted constants that ``code`` reads (all of them if that can't be told); stripped text if they don't parse."""
    try:
        constants = prompt_constants(prompts)
    except UNPARSABLE:
        return prompts.strip()
    used = used_prompts(code)
    return json.dumps(sorted((name, text) for name, text in constants.items() if used is None or name in used))


def seed_state(dataset: str, operators: tuple[str, ...], *, code_task: bool = False) -> WorkflowState:
    """The root of every search. Operators of a code task need CustomCodeGenerate, others Custom."""
    code = CODE_SEED_CODE if code_task else SEED_CODE
    return WorkflowState(dataset=dataset, code=code, prompts="", operators=operators)

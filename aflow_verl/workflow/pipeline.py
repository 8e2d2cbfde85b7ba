"""Workflows that are a short sequence of operator steps: written to AFlow's code, and read back from it.

The ``edit`` action format works on these. A step answers the problem with one operator; a later step also sees the
answer so far. ``samples`` above 1 means: call the operator that often and let ScEnsemble choose. In a code task the
workflow is also given the name of the function to write.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from aflow_verl.workflow.graph_source import (
    UNPARSABLE,
    normal_tree,
    normalize_code,
    prompt_constants,
    takes_entry_point,
    write_prompts,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One operator step."""

    operator: str
    instruction: str = "direct"
    """Name of the instruction; it is the prompt constant's name in lower case. INSTRUCTED_OPERATORS only."""
    text: str = ""
    """The instruction itself; empty means none."""
    samples: int = 1
    """Calls of the operator; more than one are decided by ScEnsemble."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One or more steps; the last one's answer is the workflow's."""

    steps: tuple[Step, ...]
    code_task: bool = False
    """Whether the workflow is given an entry point."""


@dataclass(frozen=True, slots=True)
class _Call:
    """How AFlow calls an operator: keyword arguments as source text, and the key of its result."""

    attribute: str
    first: str
    """As the first step; empty for an operator that needs a solution to work on."""
    later: str
    result: str
    instructed: bool = False
    code_tasks_only: bool = False
    """It needs the entry point."""


_DRAFT = 'f"{{problem}}\\n\\nDraft answer: {{solution}}"'
_CALLS: Mapping[str, _Call] = {
    "Custom": _Call(
        attribute="custom",
        first="input=problem, instruction={instruction}",
        later=f"input={_DRAFT}, instruction={{instruction}}",
        result="response",
        instructed=True,
    ),
    "Programmer": _Call(
        attribute="programmer",
        first='problem=problem, analysis=""',
        later="problem=problem, analysis=solution",
        result="output",
    ),
    "AnswerGenerate": _Call(
        attribute="answer_generate", first="input=problem", later=f"input={_DRAFT}", result="answer"
    ),
    "CustomCodeGenerate": _Call(
        attribute="custom_code_generate",
        first="problem=problem, entry_point=entry_point, instruction={instruction}",
        later=f"problem={_DRAFT}, entry_point=entry_point, instruction={{instruction}}",
        result="response",
        instructed=True,
        code_tasks_only=True,
    ),
    "Test": _Call(
        attribute="test",
        first="",
        later="problem=problem, solution=solution, entry_point=entry_point",
        result="solution",
        code_tasks_only=True,
    ),
}
STEP_OPERATORS = frozenset(_CALLS)
"""Operators that can stand as a step. ScEnsemble appears as ``samples``."""
EDITABLE_OPERATORS = STEP_OPERATORS | {"ScEnsemble"}
"""Operators that the ``edit`` format can use; the others need the ``code`` or ``suggest`` format."""
INSTRUCTED_OPERATORS = frozenset(name for name, call in _CALLS.items() if call.instructed)
"""Operators that take an instruction."""
LATER_OPERATORS = frozenset(name for name, call in _CALLS.items() if not call.first)
"""Operators that can't be the first step. They repair one solution, so they aren't voted over either."""
CODE_OPERATORS = frozenset(name for name, call in _CALLS.items() if call.code_tasks_only)
"""Operators for code tasks only."""

_ATTRIBUTES = {"ScEnsemble": "sc_ensemble", **{name: call.attribute for name, call in _CALLS.items()}}
_COST = 'self.llm.get_usage_summary()["total_cost"]'


def write(pipeline: Pipeline) -> tuple[str, str]:
    """AFlow's ``graph.py`` (without header) and ``prompt.py`` for a pipeline."""
    names = {step.operator for step in pipeline.steps}
    if any(step.samples > 1 for step in pipeline.steps):
        names.add("ScEnsemble")
    lines = ["class Workflow:", "    def __init__(self, name, llm_config, dataset):", "        self.name = name"]
    lines += ["        self.dataset = dataset", "        self.llm = create_llm_instance(llm_config)"]
    lines += [f"        self.{_ATTRIBUTES[name]} = operator.{name}(self.llm)" for name in sorted(names)]
    lines += ["", f"    async def __call__(self, problem{', entry_point' if pipeline.code_task else ''}):"]
    for position, step in enumerate(pipeline.steps):
        lines += [f"        {line}" for line in _step_lines(step, position)]
    lines.append(f"        return solution, {_COST}")
    constants = {step.instruction.upper(): step.text for step in pipeline.steps if step.text}
    return "\n".join(lines) + "\n", write_prompts(constants)


def _step_lines(step: Step, position: int) -> list[str]:
    call = _CALLS[step.operator]
    instruction = f"prompt_custom.{step.instruction.upper()}" if step.text else '""'
    arguments = (call.later if position else call.first).format(instruction=instruction)
    value = f'(await self.{_ATTRIBUTES[step.operator]}({arguments}))["{call.result}"]'
    if step.samples == 1:
        return [f"solution = {value}"]
    return [
        "solutions = []",
        f"for _ in range({step.samples}):",
        f"    solutions.append({value})",
        'solution = (await self.sc_ensemble(solutions=solutions, problem=problem))["response"]',
    ]


def read(code: str, prompts: str) -> Pipeline | None:
    """The pipeline that ``code`` is, up to formatting; None if it is anything else.

    A candidate is guessed from the calls in the code, and accepted only if writing it gives the same program.
    """
    try:
        constants = prompt_constants(prompts)
        calls = _find_calls(normal_tree(code))
    except UNPARSABLE:
        return None
    steps = [step for call, samples in calls if (step := _as_step(call, samples, constants)) is not None]
    if not steps or len(steps) != len(calls):
        return None
    pipeline = Pipeline(tuple(steps), takes_entry_point(code))
    return pipeline if normalize_code(write(pipeline)[0]) == normalize_code(code) else None


def _find_calls(tree: ast.Module) -> list[tuple[ast.Call, int]]:
    """Operator calls in source order, each with the repetitions of the loop around it."""
    names = {attribute: name for name, attribute in _ATTRIBUTES.items() if name in STEP_OPERATORS}
    repeats: dict[ast.AST, int] = {}
    found: list[tuple[ast.Call, int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Call) and node.iter.args:
            count = node.iter.args[0]
            if isinstance(count, ast.Constant) and isinstance(count.value, int):
                repeats.update(dict.fromkeys(ast.walk(node), count.value))
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Attribute) and function.attr in names:
                found.append((node.value, repeats.get(node, 1)))
    return sorted(found, key=lambda item: (item[0].lineno, item[0].col_offset))


def _as_step(call: ast.Call, samples: int, constants: Mapping[str, str]) -> Step | None:
    function = call.func
    assert isinstance(function, ast.Attribute)
    operator = next(name for name, attribute in _ATTRIBUTES.items() if attribute == function.attr)
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    instruction = arguments.get("instruction")
    if isinstance(instruction, ast.Attribute) and constants.get(instruction.attr):
        return Step(operator, instruction.attr.lower(), constants[instruction.attr], samples)
    plain = instruction is None or (isinstance(instruction, ast.Constant) and instruction.value == "")
    return Step(operator, samples=samples) if plain else None

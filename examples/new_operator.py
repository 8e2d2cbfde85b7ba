"""A new operator: the class, its place in the catalog, and a workflow that calls it. Offline, in about a second.

    python examples/new_operator.py

``Rephrase`` has the model say a question again in clearer words, to be answered afterwards (Rephrase and Respond,
arXiv 2311.04205). In the package it would be the file ``aflow_verl/operators/rephrase.py`` and one line of
``aflow_verl/operators/catalog.py``; a recipe then names it in ``env.operators``. The model here follows a script.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aflow_verl.operators.base import Operator, OperatorContext, user
from aflow_verl.operators.catalog import OPERATORS, operator_caller, operator_infos
from aflow_verl.operators.replies import ask_for_fields, read_fields
from aflow_verl.sandbox.limits import Limits
from aflow_verl.sandbox.monty import MontySandbox
from aflow_verl.sandbox.result import RunResult
from aflow_verl.types import Message
from aflow_verl.workflow.render import code_prompt
from aflow_verl.workflow.state import WorkflowState


class Rephrase(Operator):
    """A reply without the field leaves the question as it is, and is counted (``fields``)."""

    name = "Rephrase"
    description = "Says a question again in clearer words, without answering it."
    interface = "rephrase(problem: str) -> dict with key 'response' of type str"

    async def run(self, problem: str) -> dict[str, Any]:
        form = ask_for_fields({"question": "the question in clearer words"})
        reply = await self._model([user(f"{problem}\n\nSay this question again, more clearly.\n\n{form}")])
        question = read_fields(reply, ["question"]).get("question")
        if question is None:
            self._count("fields")
        return {"response": question or str(problem)}


OPERATORS["Rephrase"] = Rephrase  # the line of the catalog

WORKFLOW = WorkflowState(
    dataset="example",
    code="""\
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.llm = create_llm_instance(llm_config)
        self.rephrase = operator.Rephrase(self.llm)
        self.custom = operator.Custom(self.llm)

    async def __call__(self, problem):
        clearer = (await self.rephrase(problem=problem))["response"]
        answer = (await self.custom(input=clearer, instruction=prompt_custom.SHORT))["response"]
        return answer, self.llm.get_usage_summary()["total_cost"]
""",
    prompts='SHORT = "Reply with the answer only."\n',
    operators=("Rephrase", "Custom"),
)
QUESTIONS = {
    "kite e count?": "<question>How many times does the letter e appear in the word kite?</question>",
    "bees, e?": "How many e are in bees?",  # a broken reply: the field is missing
}
ANSWERS = {"How many times does the letter e appear in the word kite?": "1", "bees, e?": "2"}


async def scripted_model(messages: Sequence[Message]) -> str:
    """Stands in for a language model: knows the two questions and their answers."""
    text = messages[-1]["content"]
    replies = {
        **QUESTIONS,
        **{f"Reply with the answer only.\n\n{question}": reply for question, reply in ANSWERS.items()},
    }
    return next(reply for beginning, reply in replies.items() if text.startswith(beginning))


async def answer(sandbox: MontySandbox, question: str, malformed: Counter[str]) -> RunResult:
    """One run of the workflow; what is unusable in the model's replies is counted in ``malformed``."""

    async def run_program(code: str) -> RunResult:
        return await sandbox.run_program(code, Limits())

    call = operator_caller(WORKFLOW.operators, OperatorContext(scripted_model, run_program, malformed))
    return await sandbox.run_workflow(WORKFLOW.code, WORKFLOW.prompts, WORKFLOW.dataset, question, None, call, Limits())


async def main() -> None:
    prompt = code_prompt(WORKFLOW, operator_infos(WORKFLOW.operators), task="Count letters.")
    shown = next(line for line in prompt[1]["content"].splitlines() if "Rephrase:" in line)
    print(f"The policy is shown:\n  {shown}\n")
    malformed: Counter[str] = Counter()
    async with MontySandbox(workers=2) as sandbox:
        for question in QUESTIONS:
            print(f"{question:15} -> {(await answer(sandbox, question, malformed)).value}")
    print(f"Unusable replies: {dict(malformed)}")


if __name__ == "__main__":
    asyncio.run(main())

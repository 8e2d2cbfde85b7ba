"""A new workflow is loaded and run once on a model that costs nothing, before anything is paid for it.

The model gives a fixed text whatever it is asked. A workflow whose own code can't read that text is not broken for
that, so two texts are tried: a bare number, and prose with the fields, the program and the boxed answer that graphs
look for. Only one that fails on both, by its own fault, fails here. One that asks until it likes the answer would end
with a better model, so running out of calls is no failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aflow_verl.evaluation.counters import Counting
from aflow_verl.evaluation.run import Runner
from aflow_verl.types import Completion, Message, Problem, SamplingParams
from aflow_verl.workflow.state import WorkflowState

FAILS_DRY_RUN = "fails_dry_run"
"""Kind of an invalid edit whose workflow failed here."""
NUMBER = "42"
PROSE = """\
<thought>Two and forty make 42, so the answer is 42.</thought>
<answer>42</answer>
<response>42</response>
<solution>42</solution>
<solution_letter>A</solution_letter>
<review_result>true</review_result>
<feedback>It is correct.</feedback>
```python
def {entry_point}(*args, **kwargs):
    return 42
```
The final answer is \\boxed{{42}}."""


class StubModel:
    """Says one thing, at once and for nothing."""

    fingerprint = "stub"

    def __init__(self, text: str) -> None:
        self._text = text

    async def complete(self, messages: Sequence[Message], params: SamplingParams) -> Completion:
        return Completion(self._text)

    async def close(self) -> None:
        """Nothing to release."""


async def dry_run(runner: Runner, workflow: WorkflowState, problem: Problem) -> str | None:
    """Why the workflow fails on a stub executor; None where it doesn't. Nothing is graded, counted or kept.

    Args:
        runner: that of real runs; its sandboxes and limits are used, its model is not.

    Raises SandboxUnavailable.
    """
    error = None
    for text in (NUMBER, PROSE.format(entry_point=problem.entry_point or "solve")):
        free = replace(runner, model=StubModel(text), counting=Counting(), attempts=1)
        answer = await free.answer(workflow, problem)
        if answer.error is None or answer.calls >= runner.max_executor_calls:
            return None
        error = answer.error
    return error

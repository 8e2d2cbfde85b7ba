"""Replies of the ``code`` format: what is accepted, and the kind of each refusal."""

import pytest

from aflow_verl.errors import InvalidAction
from aflow_verl.workflow.parse import MAX_REPLY_CHARS, parse_code_reply
from aflow_verl.workflow.state import seed_state

PARENT = seed_state("gsm8k", ("Custom", "ScEnsemble"))
GRAPH = """
class Workflow:
    def __init__(self, name, llm_config, dataset):
        self.llm = create_llm_instance(llm_config)
        self.custom = operator.Custom(self.llm)

    async def __call__(self, problem):
        reply = await self.custom(input=problem, instruction=prompt_custom.SOLVE)
        return reply["response"], self.llm.get_usage_summary()["total_cost"]
"""
PROMPT = 'SOLVE = "Think first."'


def reply(graph: str = GRAPH, prompt: str = PROMPT, modification: str = "Think first.") -> str:
    return f"<modification>{modification}</modification>\n<graph>{graph}</graph>\n<prompt>{prompt}</prompt>"


def test_a_clean_reply() -> None:
    child, modification = parse_code_reply("Sure!\n" + reply(), PARENT)
    assert modification == "Think first."
    assert child.code.strip() == GRAPH.strip()
    assert child.prompts.strip() == PROMPT
    assert child.history == ("Think first.",)
    assert (child.dataset, child.operators, child.score) == (PARENT.dataset, PARENT.operators, None)


@pytest.mark.parametrize(
    "text",
    [
        reply(f"\n```python\n{GRAPH}\n```\n", f"```\n{PROMPT}\n```"),
        reply("import workspace.GSM8K.workflows.template.operator as operator\n" + GRAPH),
        reply().replace("</prompt>", ""),
        reply().replace("</graph>", ""),
        reply().replace("<graph>", "<GRAPH>").replace("</graph>", "</GRAPH>"),
    ],
    ids=["fences", "header", "cut off", "missing end tag", "upper case"],
)
def test_tolerated_forms_make_the_same_child(text: str) -> None:
    assert parse_code_reply(text, PARENT)[0].hash == parse_code_reply(reply(), PARENT)[0].hash


def test_without_a_prompt_field_the_parents_prompts_stay() -> None:
    parent, _ = parse_code_reply(reply(), PARENT)
    text = reply(GRAPH.replace("reply", "answer")).split("<prompt>")[0]
    assert parse_code_reply(text, parent)[0].prompts == parent.prompts


def test_a_code_task_needs_its_entry_point() -> None:
    parent = seed_state("humaneval", ("Custom", "CustomCodeGenerate"), code_task=True)
    with pytest.raises(InvalidAction, match=r"__call__\(self, problem, entry_point\)") as caught:
        parse_code_reply(reply(), parent)
    assert caught.value.kind == "no_workflow_class"
    for signature in ("(self, problem: str, entry_point: str)", "(self, problem, *rest)"):
        child, _ = parse_code_reply(reply(GRAPH.replace("(self, problem)", signature)), parent)
        assert signature in child.code


def method(body: str) -> str:
    return reply(GRAPH + "\n    async def other(self):\n        " + body + "\n")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("no_fields", "", "<modification>"),
        ("no_fields", "I would add a step.", "<modification>"),
        ("no_fields", "<modification>x</modification>", "<graph>"),
        ("no_fields", reply(modification=" "), "<modification>"),
        ("no_fields", reply(graph=" "), "<graph>"),
        ("too_long", reply(prompt="x" * MAX_REPLY_CHARS), "longer"),
        ("syntax", reply(graph="class Workflow:\n  def"), "line 2"),
        ("syntax", reply(graph="class Workflow:\0"), "null"),
        ("syntax", reply(graph="-" * 15_000 + "1"), "graph is no Python"),
        ("syntax", reply(prompt="SOLVE = 'x"), "prompt module"),
        ("no_workflow_class", reply(graph="x = 1"), "class Workflow"),
        ("no_workflow_class", reply(GRAPH.replace("async def", "def").replace("await", "")), "class Workflow"),
        ("no_workflow_class", reply(GRAPH.replace("(self, problem)", "(self)")), "class Workflow"),
        ("unsupported", reply(GRAPH.replace("Workflow:", "Workflow(Base):")), "class inheritance"),
        ("unsupported", method("yield 1"), "generators"),
        ("unsupported", method("del self.llm"), "del"),
        ("unsupported", method("super().x()"), "super"),
        ("unsupported", method("import asyncio\n        asyncio.Queue()"), "asyncio.Queue"),
        ("unsupported", method("import statistics\n        statistics.NormalDist()"), "the module statistics"),
        ("unsupported", method("import numpy"), "the module numpy"),
        ("unsupported", method("from sympy.core import S"), "the module sympy.core"),
        ("unsupported", method("from . import x"), "the module ."),
        ("unsupported", reply("from re import *\n" + GRAPH), "import *"),
        ("unsupported", method("return [x async for x in y]"), "async comprehensions"),
        ("unsupported", reply(GRAPH + "\n    class Inner:\n        pass\n"), "nested classes"),
        ("unsupported", reply(GRAPH + "\n    @property\n    def f(self):\n        pass\n"), "method decorators"),
        ("unsupported", reply(GRAPH + "\n    if True:\n        x = 1\n"), "statements in a class body"),
        ("unknown_operator", reply(GRAPH.replace("operator.Custom", "operator.Magic")), "'Magic'"),
        ("unknown_prompt", reply(prompt='OTHER = "x"'), "prompt_custom.SOLVE"),
        ("unknown_prompt", reply(prompt=""), "prompt_custom.SOLVE"),
        ("no_change", reply(graph=PARENT.code, prompt=""), "made from"),
    ],
)
def test_refusals(kind: str, text: str, message: str) -> None:
    with pytest.raises(InvalidAction) as caught:
        parse_code_reply(text, PARENT)
    assert caught.value.kind == kind
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

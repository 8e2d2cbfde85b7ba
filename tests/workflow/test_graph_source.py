"""The two forms of a graph: what is run, and what is hashed."""

import ast

import pytest

from aflow_verl.errors import InvalidAction
from aflow_verl.workflow.graph_source import normalize_code, strip_header, takes_entry_point, with_header
from aflow_verl.workflow.parse import parse_code_reply
from aflow_verl.workflow.state import SEED_CODE, WorkflowState, seed_state

WORDS = '''
from dataclasses import dataclass
from typing import List, Literal, cast
import workspace.MATH.workflows.template.operator as operator
from scripts.evaluator import DatasetType

# The draft and how sure we are of it.
@dataclass
class Draft:
    """What a call gave."""
    text: str
    weight: float = 1.0


class Workflow:
    def __init__(self, name: str, llm_config, dataset: DatasetType) -> None:
        self.custom = operator.Custom(create_llm_instance(llm_config))

    async def __call__(self, problem: str) -> List[str]:
        drafts: List[Draft] = []
        try:
            drafts.append(Draft((await self.custom(input=problem, instruction=""))["response"]))
        except Exception:
            "nothing to do"
        finally:
            "really"
        if not drafts:
            "no draft"
        return cast(str, drafts[0].text), drafts[0].weight
'''


def test_what_is_run_lacks_the_header_only() -> None:
    text = ast.unparse(strip_header(WORDS))
    assert text.startswith("from typing import cast\nfrom dataclasses import dataclass\n")
    for part in ("workspace", "scripts", "import List", "Literal"):
        assert part not in text
    for part in ("drafts: List[Draft] = []", '"""What a call gave."""', "text: str", "'no draft'"):
        assert part in text


def test_imports_for_annotations_alone_go() -> None:
    imports = "import typing\nimport typing_extensions as te\nfrom typing import *\n"
    code = imports + "def f(x: typing.Any) -> te.Self:\n    return x\n"
    assert ast.unparse(strip_header(code)).startswith("from typing import *\n\ndef f")
    used = "from typing_extensions import cast as c\nimport typing as t\nx = c(t.Any, 1)\n"
    assert ast.unparse(strip_header(used)) == "from typing import cast as c\nimport typing as t\nx = c(t.Any, 1)"


@pytest.mark.parametrize(
    "code",
    [
        WORDS,
        'def f():\n    "doc"\n',
        'class A:\n    "doc"\n',
        'for i in x:\n    "a"\nelse:\n    "b"\n',
        'while x:\n    "a"\n',
        'with x:\n    "a"\n',
        'try:\n    "a"\nfinally:\n    "b"\n',
        'try:\n    x()\nexcept ValueError:\n    "a"\nelse:\n    "b"\n',
        'match x:\n    case 1:\n        "a"\n',
        "def f():\n    x: int\n",
        "if a:\n    x: int\nelif b:\n    'c'\n",
    ],
)
def test_the_normal_form_is_valid_and_its_own_normal_form(code: str) -> None:
    normal = normalize_code(code)
    compile(normal, "graph", "exec")
    assert normalize_code(normal) == normal
    assert "'a'" not in normal
    assert '"""' not in normal


def test_the_fields_of_a_dataclass_count_and_other_annotations_do_not() -> None:
    assert "weight: float = 1.0" in normalize_code(WORDS)
    assert normalize_code(WORDS) != normalize_code(WORDS.replace("    weight: float = 1.0\n", ""))
    assert normalize_code(WORDS) == normalize_code(WORDS.replace("drafts: List[Draft] = []", "drafts = []"))
    assert normalize_code("if a:\n    'x'\n") == normalize_code("if a:\n    pass\n")


def test_a_header_is_replaced_not_doubled() -> None:
    code = with_header(WORDS, "GSM8K", "round_2")
    assert code.count(" as operator") == code.count("create_llm_instance\n") == 1
    assert "workspace.GSM8K.workflows.round_2.prompt as prompt_custom" in code
    assert "# The draft and how sure we are of it." in code
    assert "from typing import List, Literal, cast" in code
    assert normalize_code(code) == normalize_code(WORDS)
    assert with_header(code, "GSM8K", "round_2").split() == code.split()
    assert with_header("class Workflow(:", "d", "r").endswith("class Workflow(:\n")


def test_what_typing_lacks_in_the_interpreter_is_refused_by_name() -> None:
    parent: WorkflowState = seed_state("d", ("Custom",))
    graph = "from typing import get_args\n" + SEED_CODE.replace("return solution", "return str(get_args(solution))")
    with pytest.raises(InvalidAction, match=r"no typing\.get_args"):
        parse_code_reply(f"<modification>m</modification><graph>{graph}</graph>", parent)
    fine = "from typing import cast\n" + SEED_CODE.replace("return solution", "return cast(str, solution)")
    child, _ = parse_code_reply(f"<modification>m</modification><graph>{fine}</graph>", parent)
    assert child.hash != parent.hash


def test_the_second_argument_of_a_graph() -> None:
    coded = seed_state("d", ("CustomCodeGenerate",), code_task=True).code
    assert takes_entry_point(coded)
    assert takes_entry_point("class Workflow:\n    async def __call__(self, *args): pass")
    assert not takes_entry_point(SEED_CODE)
    assert not takes_entry_point(coded.replace("class Workflow", "class Other"))
    assert not takes_entry_point("class Workflow(:")

"""The source texts of the two programs: the modules beside this one, and a last line that starts them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from aflow_verl.benchmarks.judge.exam import Exam

_PACKAGE = "aflow_verl.benchmarks.judge"
_LOAD = """import sys, types
def load(name, source):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), vars(module))
    return module
"""
"""The modules find each other under their full names, though the package itself is not there."""


def candidate_program(reply: str, exam: Exam) -> str:
    """Ends by itself only with an error."""
    arguments = (reply, list(exam.names), exam.prelude, exam.opening)
    return _modules("codec", "peer", "solution", "candidate") + _start("serve", arguments)


def examiner_program(exam: Exam) -> str:
    """Its value is why the answer fails: an empty text if it passes."""
    return _modules("codec", "peer", "examiner") + _start("examine", (exam.tests, list(exam.names), exam.prelude))


@cache
def _modules(*names: str) -> str:
    sources = [(f"{_PACKAGE}.{name}", files(_PACKAGE).joinpath(f"{name}.py").read_text("utf-8")) for name in names]
    return _LOAD + "".join(f"module = load({name!a}, {source!a})\n" for name, source in sources)


def _start(function: str, arguments: tuple[object, ...]) -> str:
    return f"module.{function}(host_call, {', '.join(map(ascii, arguments))})\n"

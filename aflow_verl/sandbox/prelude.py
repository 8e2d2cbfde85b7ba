"""What stands in front of a graph in the interpreter: what its header would have imported, and helpers of its dialect.

Costs are kept by the host, so inside the sandbox they read 0.
"""

from __future__ import annotations

from collections.abc import Mapping

CALL = "_call_operator"
"""Name of the one function that leads out of the interpreter."""
OPTIONS = "**"
"""Operator calls carry what the operator's constructor was given under this key, beside the named arguments."""

MODEL = f"""\
class CostManager:
    def __init__(self):
        self.total_cost = 0.0
        self.total_prompt_tokens = 0
        self.total_completion_tokens = 0
    def get_total_cost(self):
        return self.total_cost

class _UsageTracker:
    def get_summary(self):
        return {{
            "total_cost": 0.0, "total_tokens": 0, "total_input_tokens": 0, "total_output_tokens": 0, "call_count": 0
        }}

class _Model:
    def __init__(self):
        self.cost_manager = CostManager()
        self.usage_tracker = _UsageTracker()
    async def __call__(self, prompt):
        return (await {CALL}("Custom", (), {{"input": prompt, "instruction": ""}}))["response"]
    async def aask(self, prompt):
        return (await {CALL}("Custom", (), {{"input": prompt, "instruction": ""}}))["response"]
    def get_usage_summary(self):
        return self.usage_tracker.get_summary()

def create_llm_instance(llm_config=None):
    return _Model()
"""
"""The model and the cost managers of AFlow's repository and of MetaGPT."""

OPERATOR = f"""\
class _Operator_{{name}}:
    def __init__(self, llm=None, name="{{name}}", **options):
        self.llm = llm
        self.name = name
        self.options = {{{{"{OPTIONS}": options}}}} if options else {{{{}}}}
    async def __call__(self, *args, **kwargs):
        return await {CALL}("{{name}}", args, {{{{**kwargs, **self.options}}}})
"""
"""One operator; to be formatted with its ``name``."""

_LOGGER = """\
def _ignore(*args, **kwargs):
    return None

class _Logger:
    def __init__(self):
        self.debug = self.info = self.warning = self.error = self.exception = self.success = self.setLevel = _ignore

logger = _Logger()

def _get_logger(name=None):
    return logger
"""
_STATISTICS = """\
def _mean(data):
    values = list(data)
    if not values:
        raise ValueError("mean requires at least one data point")
    return sum(values) / len(values)

def _fmean(data):
    return float(_mean(data))

def _median(data):
    values = sorted(data)
    if not values:
        raise ValueError("no median for empty data")
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2

def _multimode(data):
    counts = {}
    for value in data:
        counts[value] = counts.get(value, 0) + 1
    return [value for value, count in counts.items() if count == max(counts.values())]

def _mode(data):
    modes = _multimode(data)
    if not modes:
        raise ValueError("no mode for empty data")
    return modes[0]

def _stdev(data):
    values = list(data)
    if len(values) < 2:
        raise ValueError("stdev requires at least two data points")
    mean = _mean(values)
    return (sum([(value - mean) ** 2 for value in values]) / (len(values) - 1)) ** 0.5
"""
_ASYNCIO = """\
import asyncio as _asyncio

async def _caught(task):
    try:
        return await task
    except Exception as error:
        return error

async def _gather(*tasks, return_exceptions=False):
    if return_exceptions:
        tasks = [_caught(task) for task in tasks]
    return await _asyncio.gather(*tasks)

def _create_task(task, name=None):
    return task

async def _wait_for(task, timeout=None):
    return await task
"""
_RE_SUB = """\
import re as _re

def _re_sub(pattern, repl, string, count=0, flags=0):
    if isinstance(repl, str):
        return _re.sub(pattern, repl, string, count, flags)
    parts, end = [], 0
    for number, match in enumerate(_re.finditer(pattern, string, flags)):
        if count and number >= count:
            break
        parts += [string[end:match.start()], repl(match)]
        end = match.end()
    return "".join(parts) + string[end:]
"""
_LITERAL_EVAL = r"""
import re as _re_literal

def _literal_eval(text):
    without_texts = _re_literal.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", text)
    without_names = _re_literal.sub(r"\b(?:True|False|None)\b", "0", without_texts)
    if not _re_literal.fullmatch(r"(?:[\s\d.,:+\-\[\](){}']|(?<=\d)[eEjJ_])*", without_names):
        raise ValueError("malformed node or string")
    return eval(text.strip())
"""
_STRINGS = {
    "_ascii_lowercase": "abcdefghijklmnopqrstuvwxyz",
    "_ascii_uppercase": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "_ascii_letters": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "_digits": "0123456789",
    "_punctuation": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
}

HELPERS: Mapping[str, str] = {
    "_cast": "def _cast(kind, value):\n    return value\n",
    "_format_exc": "def _format_exc():\n    return ''\n",
    "_is_integer": "def _is_integer(number):\n    return number % 1 == 0\n",
    "_literal_eval": _LITERAL_EVAL,
    "_LEVEL": "_LEVEL = 0\n",
    "_re_sub": _RE_SUB,
    **dict.fromkeys(("_create_task", "_gather", "_wait_for"), _ASYNCIO),
    **dict.fromkeys(("_ignore", "_get_logger", "logger"), _LOGGER),
    **dict.fromkeys(("_mean", "_fmean", "_median", "_mode", "_multimode", "_stdev"), _STATISTICS),
    **{name: f"{name} = {text!r}\n" for name, text in _STRINGS.items()},
}
"""Helper -> the source that defines it. Only what a graph uses is put in front of it."""

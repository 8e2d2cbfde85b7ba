"""Values and errors made to break whoever looks at them. The results are checked for being plain and small."""

from attacks.attack import Attack

_FORGED = """
class A:
    def __reduce__(self):
        return print, ("ESC" + "APED",)
    def __reduce_ex__(self, protocol):
        return self.__reduce__()
A()
"""
_EQUAL = """
class A:
    def __eq__(self, other):
        return True
    __ne__ = __lt__ = __gt__ = __eq__
    __hash__ = None
[A(), {1: A()}]
"""
_EVIL = """
class A:
    def __getattribute__(self, name):
        raise SystemExit(0)
    def __str__(self):
        raise KeyboardInterrupt
    __repr__ = __format__ = __bool__ = __len__ = __iter__ = __hash__ = __int__ = __index__ = __str__
[A(), {"a": A()}]
"""
_INT = """
class A(int):
    def bit_length(self):
        return 1
    def __str__(self):
        return "x" * 10 ** 7
    __repr__ = __str__
    def __abs__(self):
        while True:
            pass
A(5)
"""
_STR = """
class A(str):
    def __len__(self):
        return 0
    def __getitem__(self, key):
        return self
    def encode(self, *args):
        return b"x" * 10 ** 7
A("a" * 10 ** 7)
"""
_DICT = """
class A(dict):
    def items(self):
        while True:
            yield "a", 1
    __iter__ = keys = values = items
A(a=1)
"""
_LIST = """
class A(list):
    def __iter__(self):
        while True:
            yield 1
    def __len__(self):
        return 1 << 40
    def __getitem__(self, key):
        return self
A([1])
"""


def _value(name: str, code: str, *, must_fail: bool = False, seconds: float = 1.0) -> Attack:
    return Attack(name, code, own_value=True, must_fail=must_fail, seconds=seconds)


ATTACKS = (
    _value("evil_pickle", _FORGED),
    _value("evil_methods", _EVIL),
    _value("evil_integer", _INT),
    _value("evil_text", _STR),
    _value("evil_dictionary", _DICT),
    _value("evil_list", _LIST),
    _value(
        "evil_text_of_an_object",
        "class A:\n    def __str__(self):\n        while True: pass\n    __repr__ = __str__\nA()",
        seconds=0.5,
    ),
    _value("text_that_is_no_text", "class A:\n    def __str__(self):\n        return 3\n    __repr__ = __str__\nA()"),
    _value("lie_about_the_class", "class A:\n    @property\n    def __class__(self):\n        return int\nA()"),
    _value("equal_to_everything", _EQUAL),
    _value("long_text_of_an_object", "class A:\n    def __repr__(self):\n        return 'x' * 10 ** 7\n[A()] * 1000"),
    _value("list_in_itself", "x = []\nx.append(x)\nx"),
    _value("dictionary_in_itself", "x = {}\nx['x'] = x\nx"),
    _value("deep_list", "x = []\nfor _ in range(10 ** 6):\n    x = [x]\nx", seconds=2.0),
    _value("deep_dictionary", "x = {}\nfor _ in range(10 ** 5):\n    x = {'x': x}\nx", seconds=2.0),
    _value("shared_list", "x = [1]\nfor _ in range(8):\n    x = [x] * 100\nx"),
    _value("shared_pairs", "x = 'a'\nfor _ in range(200):\n    x = (x, x)\nx"),
    _value("long_list", "list(range(10 ** 6))"),
    _value("long_dictionary", "{str(i): i for i in range(10 ** 5)}"),
    _value("long_keys", "{'k' * 10 ** 6: 1, ('k' * 10 ** 6,): 2}"),
    _value("many_long_texts", "['x' * 10 ** 5] * 10 ** 4"),
    _value("long_integer", "7 ** 10 ** 5"),
    _value("long_integers", "[10 ** 3000] * 1000"),
    _value("not_numbers", "[float('nan'), float('inf'), -float('inf'), -0.0, 5e-324, 1e308 * 10]"),
    _value("complex_numbers", "[1j, range(3), Ellipsis, NotImplemented, None, True]"),
    _value("lone_surrogates", "['\\ud800', {'\\udfff': '\\ud800\\udc00'}, 'a\\x00b\\x1b[2J\\u202e']"),
    _value("bytes_value", "[b'\\xff\\x00' * 10, bytearray(3), memoryview(b'x')]"),
    _value("endless_generator", "import itertools\nitertools.count()"),
    _value("functions_and_modules", "import sys\n[print, sys, type, lambda: 0, sys._getframe()]"),
    _value("keys_of_all_kinds", "{1: 1, '1': 2, (1, (2,)): 3, None: 4, b'x': 5, 1.5: 6, frozenset([1]): 7}"),
    _value(
        "markers_of_an_encoding",
        "{'__tuple__': [1], '$': 1, 'type': 'tuple', 'value': [1], 'tuple': [2], 't': [3], '!': 'int'}",
    ),
    _value("long_error", "raise ValueError('x' * 10 ** 7)", must_fail=True),
    _value("error_of_many_lines", "raise ValueError('a\\nb\\r\\nc' * 1000)", must_fail=True),
    _value(
        "error_with_an_evil_text",
        "class A(Exception):\n    def __str__(self):\n        while True: pass\n    __repr__ = __str__\nraise A",
        must_fail=True,
        seconds=0.5,
    ),
    _value(
        "error_that_ends_the_program",
        "class A(Exception):\n    def __str__(self):\n        raise SystemExit(0)\nraise A",
        must_fail=True,
    ),
    _value("error_with_an_evil_name", "A = type('A\\n' * 10 ** 5, (Exception,), {})\nraise A('x')", must_fail=True),
    _value(
        "chain_of_errors",
        "e = None\nfor i in range(10 ** 5):\n    n = ValueError(i)\n    n.__cause__ = e\n    e = n\nraise e",
        must_fail=True,
    ),
    _value("group_of_errors", "raise BaseExceptionGroup('x', [SystemExit(0), KeyboardInterrupt()])", must_fail=True),
    _value(
        "warning_flood",
        "import warnings\nwarnings.simplefilter('always')\nfor _ in range(2000):\n    warnings.warn('x' * 1000)\n6",
    ),
    _value("null_in_the_code", "6\0", must_fail=True),
    _value("long_code", "x = '" + "x" * 200_000 + "'", must_fail=True),
    _value("deep_code", "(" * 10_000 + ")" * 10_000, must_fail=True),
    _value("long_expression", "1" + "+1" * 20_000),
    _value("surrogate_in_the_code", "'\ud800'"),
)

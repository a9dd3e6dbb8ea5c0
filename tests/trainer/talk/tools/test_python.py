import time

import pytest

from trainer.talk.tools.python import Limits, Python
from trainer.talk.tools.tool import Result

LONG, SHORT = Limits(seconds=20), Limits(seconds=1)


def run(code: str, limits: Limits = LONG) -> Result:
    return Python(limits).run(code)


@pytest.mark.parametrize(
    ("code", "prints"),
    [
        ("12 * 34", "408"),
        ("'a' + 'b'", "'ab'"),
        ("x = 3\nprint('x is', x)\nx + 1", "x is 3\n4"),
        ("x = 3", "(no output)"),
        ("print(1); None", "1"),
        ('{"code": "1 + 1"}', "2"),
        ("{'code': 1}", "{'code': 1}"),
        ("import math\nround(math.pi, 3)", "3.142"),
        ("from collections import Counter\nCounter('abracadabra').most_common(1)", "[('a', 5)]"),
        ("import collections.abc\nisinstance([], collections.abc.Sequence)", "True"),
        ("import collections\ncollections.Counter('abracadabra').copy()['a']", "5"),
        (
            "import functools\n@functools.singledispatch\ndef f(x): pass\n@f.register\ndef _(x: int): return -x\nf(2)",
            "-2",
        ),
        ("from fractions import Fraction as F\nstr(F(1, 3) + F(1, 6))", "'1/2'"),
        ("import decimal\nprint(decimal.Decimal('0.1') * 3)", "0.3"),
        ("import datetime as d\nprint(d.date(2024, 2, 28) + d.timedelta(2))", "2024-03-01"),
        (
            "from datetime import datetime\nprint(datetime.strptime('03.02.2024', '%d.%m.%Y').strftime('%A'))",
            "Saturday",
        ),
        ("from datetime import datetime\ndatetime.now().year > 2000", "True"),
        ("import random\nrandom.seed(1)\nrandom.randint(1, 6) in range(1, 7)", "True"),
        ("import statistics\nstatistics.median([3, 1, 2])", "2"),
        ("import re, json, string\njson.dumps(re.findall('[a-c]', string.ascii_lowercase))", '\'["a", "b", "c"]\''),
        ("import itertools, functools\nsum(functools.reduce(max, p) for p in itertools.permutations([1, 2]))", "4"),
        (
            "class Point:\n    def __init__(self, x):\n        self._x = x\n    def __repr__(self):\n"
            "        return f'Point({self._x})'\nclass Q(Point):\n    def __init__(self):\n"
            "        super().__init__(5)\nQ()",
            "Point(5)",
        ),
        ("'\\N{DEGREE SIGN} 日本'", "'° 日本'"),
        ("print('\\ud800')", "\\ud800"),
        ("try:\n    [][1]\nexcept IndexError as error:\n    print(error)", "list index out of range"),
        ("def gen():\n    yield from range(3)\nlist(gen())", "[0, 1, 2]"),
        ("sorted({'b': 1, 'a': 2}, key=lambda name: name)", "['a', 'b']"),
    ],
)
def test_it_is_a_notebook_of_ordinary_python(code: str, prints: str) -> None:
    assert run(code) == Result(prints)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero (line 2)"),
        ("def f():\n    raise ValueError('no')\nf()", "ValueError: no (line 2)"),
        ("print('so far')\nnope", "so far\nNameError: name 'nope' is not defined (line 2)"),
        ("(1", "SyntaxError: '(' was never closed (line 1)"),
        ("raise SystemExit(0)", "SystemExit: 0 (line 1)"),
        ("class E(Exception):\n    def __str__(self):\n        return 1 / 0\nraise E", "E (line 4)"),
        ("open('x')", "NameError: name 'open' is not defined (line 1)"),
        ("import os", "line 1: os can't be imported here, only collections"),
        ("\nfrom . import x", "line 2: . can't be imported here"),
        ("a = 1\na.__class__", "line 2: __class__ can't be used here"),
        ("(x for x in ()).gi_frame", "line 1: gi_frame can't be used here"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded (line 1)"),
        ("[0] * 10**9", "MemoryError (line 1)"),
        ("(" * 3000, "SyntaxError: too many nested parentheses (line 1)"),
    ],
)
def test_what_goes_wrong_is_told_with_its_line(code: str, says: str) -> None:
    result = run(code)
    assert result.error
    assert result.text.startswith(says)


@pytest.mark.parametrize("code", ["print(1)\nwhile True: pass", "print(1)\n10 ** 10 ** 8"])
def test_a_program_that_takes_too_long_is_stopped_and_what_it_wrote_is_kept(code: str) -> None:
    assert run(code, SHORT) == Result("stopped: the program took more than 1 s; it had written:\n1", error=True)


def test_a_program_that_writes_too_much_is_stopped() -> None:
    result = run("while True: print('spam')", Limits(seconds=20, output_bytes=100))
    assert result.error
    assert result.text.startswith("stopped: the program wrote more than 100 bytes; it had written:\nspam\nspam")
    assert len(result.text) < 200


def test_stopping_does_not_wait() -> None:
    began = time.monotonic()
    run("while True: pass", SHORT)
    assert time.monotonic() - began < 10  # 1 s, on a machine however busy


def test_each_program_begins_anew() -> None:
    run("import math\nmath.pi = 3\nleft = 1")
    assert run("import math\nmath.pi > 3").text == "True"
    assert run("left").error

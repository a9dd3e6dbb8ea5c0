import contextlib
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.talk.tools.calculator import Calculator, calculate
from trainer.talk.tools.tool import ToolError


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12*34", "408"),
        (" 2 + 3 * (4 - 1) ", "11"),
        ("0.1 + 0.2", "0.3"),
        ("1/4", "0.25"),
        ("-1/4", "-0.25"),
        ("1/3", "0.3333333333"),
        ("2/3 + 1/3", "1"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("7.5 % 2", "1.5"),
        ("2**100", "1267650600228229401496703205376"),
        ("2**-2", "0.25"),
        ("-2**2", "-4"),
        ("0**0", "1"),
        ("(-1)**1000000000001", "-1"),
        ("0.12345678901234567890123456789 * 10", "1.2345678901234567890123456789"),
        ("1e3 + 1_000", "2000"),
        ("sqrt(16/9) * 3", "4"),
        ("sqrt(2)", "1.414213562"),
        ("sqrt(2) ** 2", "2"),
        ("8 ** (1/3)", "2"),
        ("abs(-3.50)", "3.5"),
        ("min(3, 1/2, 2) + max(1, 2)", "2.5"),
        ("round(2/3, 2)", "0.67"),
        ("round(2.5)", "2"),
        ("10000000000 / 3", "3333333333"),
        ("100000000000 / 3", "3.333333333e+10"),
        ("1/30000", "3.333333333e-05"),
        ("1/3000", "0.0003333333333"),
    ],
)
def test_the_value(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("9**9**9", "too long"),
        ("10**10**10", "too long"),
        ("(9**300)**300", "too long"),
        ("1e999999999", "too long"),
        ("2**0.5**-99999999", "too long"),
        ("*".join(["9**999"] * 9), "too long"),
        ("(" * 300, "not arithmetic"),
        ("-" * 200 + "1", "nested more than 50"),
        ("1+" * 300 + "1", "601 characters"),
        ("1/0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("sqrt(-1)", "negative"),
        ("(-8) ** 0.5", "negative"),
        ("round(1, 0.5)", "whole number of digits"),
        ("sqrt(1, 2)", r"takes 1 argument"),
        ("1,234", "1234"),
        ("2^3", r"\*\*"),
        ("1 & 2", "only"),
        ("1 < 2", "not arithmetic"),
        ("x", "not arithmetic"),
        ("'a'", "not a decimal"),
        ("True", "not a decimal"),
        ("2j", "not a decimal"),
        ("sin(1)", "there is no function sin"),
        ("__import__('os')", "there is no function __import__"),
        ("(1).__class__", "not arithmetic"),
        ("[1][0]", "not arithmetic"),
        ("lambda: 1", "not arithmetic"),
        ("f'{1}'", "not arithmetic"),
        ("\0", "not arithmetic"),
        ("", "empty"),
    ],
)
def test_what_is_refused_and_why(expression: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        calculate(expression)


def test_the_longest_number_has_a_thousand_digits() -> None:
    assert len(calculate("10**999")) == 1000
    with pytest.raises(ToolError):
        calculate("10**1000")


def test_an_expression_may_come_as_json() -> None:
    assert Calculator().run('{"expression": "1+2"}').text == "3"


numbers = st.integers(0, 999).map(str) | st.decimals(0, 99, places=2).map(str)
expressions = st.recursive(
    numbers,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        )
        | inner.map(lambda part: f"-{part}")
    ),
    max_leaves=8,
)


@given(expressions)
def test_it_agrees_with_fractions(expression: str) -> None:
    try:
        exact = eval(re.sub(r"\d+(\.\d+)?", r"Fraction('\g<0>')", expression), {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(ToolError, match="division by zero"):
            calculate(expression)
        return
    found = Fraction(calculate(expression))
    assert found == exact or abs(found - exact) <= abs(exact) / 10**9


@given(st.text(alphabet="0123456789.()+-*/%e, sqrtabmnx_'[]{}:", max_size=60))
def test_any_text_is_a_number_or_a_clear_refusal(text: str) -> None:
    with contextlib.suppress(ToolError):
        Fraction(calculate(text))

"""The tool `calculator`: exact arithmetic on integers, decimals and fractions, in bounded time whatever is asked.

Every size is estimated before a number is computed, so 9**9**9 is refused at once; nothing is ever passed to `eval`.
"""

import ast
import warnings
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from math import isqrt, log2
from typing import Any

from trainer.talk.tools.tool import Result, ToolError, argument

MAX_CHARACTERS = 500
MAX_DEPTH = 50
MAX_DIGITS = 1000
"""Of a number's numerator, and of its denominator; 500 characters of operations on such take under 10 ms."""
MAX_BITS = int(MAX_DIGITS * log2(10))
SHOWN_DIGITS = 10

_ROOTS = Context(prec=40, Emax=MAX_DIGITS, Emin=-MAX_DIGITS, traps=[InvalidOperation, Overflow, DivisionByZero])
_SHOWN = Context(prec=SHOWN_DIGITS, Emax=10 * MAX_DIGITS, Emin=-10 * MAX_DIGITS, rounding=ROUND_HALF_EVEN, traps=[])


class Calculator:
    name = "calculator"
    description = (
        "calculator EXPRESSION: exact arithmetic with + - * / // % ** and parentheses, sqrt, abs, min, max, round. "
        "Example: calculator (12.5 + 3) * 4"
    )

    def run(self, input: str) -> Result:
        return Result(calculate(argument(input, "expression")))


def calculate(expression: str) -> str:
    """The value of an expression: "12*34" -> "408", "1/4" -> "0.25", "1/3" -> "0.3333333333".

    Whole numbers and decimals that end are exact; others are rounded to 10 significant digits, half to even, and
    written as "%.10g" writes. `round` is Python's: halves go to the even neighbour. Raises ToolError.
    """
    evaluation = _Evaluation(expression.strip())
    return _spell(evaluation.value, evaluation.exact)


class _Evaluation:
    """`exact` is False once a root that is no fraction was taken."""

    def __init__(self, text: str) -> None:
        self.text, self.exact = text, True
        self.functions: dict[str, tuple[Callable[..., Fraction], int, int]] = {
            "sqrt": (self._sqrt, 1, 1),
            "abs": (abs, 1, 1),
            "min": (min, 2, 100),
            "max": (max, 2, 100),
            "round": (_round, 1, 2),
        }
        self.value = self._evaluate(_parse(text), 0)

    def _evaluate(self, node: ast.AST, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise ToolError(f"the expression is nested more than {MAX_DEPTH} deep")
        match node:
            case ast.Constant():
                value = _number(self._source(node))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                value = self._evaluate(operand, depth + 1)
                return -value if isinstance(node.op, ast.USub) else value
            case ast.BinOp(left=left, op=operator, right=right):
                value = self._apply(operator, self._evaluate(left, depth + 1), self._evaluate(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                if name not in self.functions:
                    raise ToolError(f"there is no function {name[:40]}; there are {', '.join(self.functions)}")
                function, least, most = self.functions[name]
                if not least <= len(arguments) <= most:
                    raise ToolError(f"{name} takes {least if least == most else f'{least} to {most}'} argument(s)")
                value = function(*(self._evaluate(argument, depth + 1) for argument in arguments))
            case ast.Tuple():
                raise ToolError("a comma only parts arguments; write 1234, not 1,234")
            case _:
                raise ToolError(f'"{self._source(node)[:40]}" is not arithmetic; write numbers and + - * / // % ** ( )')
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise _too_long()
        return value

    def _apply(self, operator: ast.operator, left: Fraction, right: Fraction) -> Fraction:
        if isinstance(operator, ast.Div | ast.FloorDiv | ast.Mod) and not right:
            raise ToolError("division by zero")
        match operator:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
            case ast.FloorDiv():
                return Fraction(left // right)
            case ast.Mod():
                return left % right
            case ast.Pow():
                return self._power(left, right)
            case ast.BitXor():
                raise ToolError("^ is not known here; write ** for a power")
            case _:
                raise ToolError("only + - * / // % and ** are known here")

    def _power(self, base: Fraction, exponent: Fraction) -> Fraction:
        if not base and exponent < 0:
            raise ToolError("division by zero: 0 to a negative power")
        if base in (0, 1) or not exponent:
            return base if exponent else Fraction(1)
        if exponent.denominator > 1:
            return self._root(base, exponent)
        if base == -1:
            return Fraction(-1 if exponent.numerator % 2 else 1)
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if (bits - 1) * abs(exponent.numerator) > MAX_BITS:
            raise _too_long()
        return base**exponent.numerator

    def _sqrt(self, value: Fraction) -> Fraction:
        if value < 0:
            raise ToolError("the square root of a negative number is no real number")
        root = Fraction(isqrt(value.numerator), isqrt(value.denominator))
        return root if root * root == value else self._root(value, Fraction(1, 2))

    def _root(self, base: Fraction, exponent: Fraction) -> Fraction:
        """A power that is no fraction, to 40 digits."""
        if base < 0:
            raise ToolError("a negative number to a broken power is no real number")
        self.exact = False
        try:
            power = _ROOTS.divide(Decimal(exponent.numerator), Decimal(exponent.denominator))
            return Fraction(_ROOTS.power(_ROOTS.divide(Decimal(base.numerator), Decimal(base.denominator)), power))
        except (Overflow, InvalidOperation, DivisionByZero):
            raise _too_long() from None

    def _source(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.text, node) or ""


def _parse(text: str) -> ast.expr:
    if len(text) > MAX_CHARACTERS:
        raise ToolError(f"the expression has {len(text):,} characters; at most {MAX_CHARACTERS} are read")
    if not text:
        raise ToolError("the expression is empty; write one, as 12 * 34")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ToolError(f'"{text[:60]}" is not arithmetic; write numbers and + - * / // % ** ( )') from None


def _number(literal: str) -> Fraction:
    """What the literal says, not the float that is nearest to it: 0.1 is a tenth."""
    digits, _, power = literal.lower().partition("e")
    try:
        if power and abs(int(power)) > MAX_DIGITS:
            raise _too_long()
        return Fraction(literal)
    except ValueError as error:
        if isinstance(error, ToolError):
            raise
        raise ToolError(f'"{digits[:40]}" is not a decimal number') from None


def _round(value: Fraction, digits: Any = 0) -> Fraction:
    if digits != int(digits) or abs(digits) > MAX_DIGITS:
        raise ToolError(f"round takes a whole number of digits up to {MAX_DIGITS}")
    return Fraction(round(value, int(digits)))


def _too_long() -> ToolError:
    return ToolError(f"the numbers grow too long; at most {MAX_DIGITS:,} digits are computed")


def _spell(value: Fraction, exact: bool) -> str:
    if exact:
        if value.denominator == 1:
            return str(value.numerator)
        places = _decimal_places(value.denominator)
        if places is not None and places <= MAX_DIGITS:
            digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
            return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
    rounded = _SHOWN.divide(Decimal(value.numerator), Decimal(value.denominator))
    if rounded and not -5 < rounded.adjusted() < SHOWN_DIGITS:
        sign, digits_of, _ = rounded.normalize().as_tuple()
        first, rest = digits_of[0], "".join(map(str, digits_of[1:]))
        return f"{'-' if sign else ''}{first}{'.' if rest else ''}{rest}e{rounded.adjusted():+03d}"
    spelt = f"{rounded:f}"
    return spelt.rstrip("0").rstrip(".") if "." in spelt else spelt


def _decimal_places(denominator: int) -> int | None:
    """How many decimals a fraction in lowest terms has; None where they never end."""
    counts = []
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator, count = denominator // prime, count + 1
        counts.append(count)
    return max(counts) if denominator == 1 else None

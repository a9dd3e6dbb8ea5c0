"""The walled process: reads a program from standard input, puts the wall up, then parses and runs it like a notebook.

Parsing too is done behind the wall: CPython's own parser has been crashed by what it read.
"""

import ast
import json
import os
import sys
from typing import Any, NoReturn

from trainer.talk.tools.cage import subset, wall

RAN, FAILED, NO_WALL = 0, 1, 3
"""Exit codes."""

NAME = "<program>"
MAX_MESSAGE = 500


def main() -> NoReturn:
    """Standard input is JSON: `code`, `cpu_seconds`, `memory_bytes`, and `checked`, whether the subset is kept to."""
    request = json.load(sys.stdin)
    os.close(0)
    try:
        wall.put_up(request["cpu_seconds"], request["memory_bytes"])
    except OSError as error:
        print(error)
        os._exit(NO_WALL)
    os._exit(run(request["code"], request["checked"]))


def run(code: str, checked: bool) -> int:
    """Runs a program and prints the value of its last line, if that is an expression and not None."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        tree = ast.parse(code, NAME)
        if checked:
            subset.check(tree)
        names: dict[str, Any] = subset.namespace() if checked else {"__name__": "__main__"}
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, NAME, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), NAME, "eval"), names)
            if value is not None:
                print(repr(value))
        return RAN
    except BaseException as error:
        print(_describe(error))
        return FAILED


def _describe(error: BaseException) -> str:
    """`ZeroDivisionError: division by zero (line 3)`: the line of the program's that was running."""
    if isinstance(error, subset.ForbiddenError):
        return str(error)
    trace, line = error.__traceback__, 0
    while trace:
        if trace.tb_frame.f_code.co_filename == NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        message, line = error.msg, error.lineno or 0
    else:
        try:
            message = str(error)[:MAX_MESSAGE]
        except BaseException:  # the program's own error class may do anything in __str__
            message = ""
    return f"{type(error).__name__}{': ' if message else ''}{message}{f' (line {line})' if line else ''}"

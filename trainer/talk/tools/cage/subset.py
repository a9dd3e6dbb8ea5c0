"""The Python that a model's program may use: a few modules, no dunder attributes, no builtins that reach outside.

This is the courtesy, which says early and in words what is not to be had; the wall is what holds (wall.py). No such
check in Python is tight: the frames of generators, format strings and error objects have opened every one.
"""

import ast
import builtins
import collections
import collections.abc
import datetime
import decimal
import fractions
import functools
import itertools
import json
import math
import random
import re
import statistics
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

LATE_IN_C = ("time", "_strptime", "unicodedata")
"""What C code imports, by the program's own `__import__`: to format or parse a date, to compile "\\N{DEGREE SIGN}"."""
LATE = ("heapq", "copy", "warnings", "typing", "types", "weakref")
"""What functions of collections, functools and re import when they are called."""
for _name in (*LATE_IN_C, *LATE):  # now: behind the wall no file can be opened
    import_module(_name)

NAMES = (
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod enumerate filter float "
    "format frozenset hasattr hash hex int isinstance issubclass iter len list map max min next object oct ord pow "
    "print property range repr reversed round set slice sorted staticmethod str sum super tuple type zip "
    "Ellipsis NotImplemented __build_class__"
).split()

ALLOWED_DUNDERS = frozenset({"__init__", "__name__", "__doc__", "__main__"})
FRAMES = re.compile(r"(gi|cr|ag|tb|f|co|func)_(frame|code|globals|builtins|locals|back|next|await|running|yieldfrom)")


class ForbiddenError(Exception):
    """A program outside the subset; the message names the line."""


def check(tree: ast.AST) -> None:
    """Raises ForbiddenError at the first import, attribute or name that the subset has not."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module in _imported(node):
                if module not in MODULES:
                    raise ForbiddenError(f"line {line}: {_not_importable(module)}")
        defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for name in _identifiers(node):
            if FRAMES.fullmatch(name) or (_is_dunder(name) and not defines and name not in ALLOWED_DUNDERS):
                raise ForbiddenError(f"line {line}: {name} can't be used here")


def _identifiers(node: ast.AST) -> Iterator[str]:
    """Names of variables, attributes, arguments, keywords, imports and patterns; not what strings say."""
    if isinstance(node, ast.Constant):
        return
    for _, value in ast.iter_fields(node):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield from item.split(".")


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return [name.name for name in node.names]


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _not_importable(module: str) -> str:
    return f"{module} can't be imported here, only {', '.join(sorted(MODULES))}"


def _public(module: ModuleType, without: Sequence[str] = ()) -> ModuleType:
    """A module of a module's public names only: `random._os` and `statistics.sys` lead outside."""
    fresh = ModuleType(module.__name__)
    names: Sequence[str] = vars(module).get("__all__") or dir(module)
    for name in names:
        value = getattr(module, name)
        if not name.startswith("_") and name not in without and not isinstance(value, ModuleType):
            setattr(fresh, name, value)
    return fresh


_WHOLE = (math, random, statistics, itertools, functools, collections, fractions, decimal, datetime, re, json)
MODULES: Mapping[str, ModuleType] = {
    **{module.__name__: _public(module) for module in _WHOLE},
    "string": _public(string, without=["Formatter"]),  # its get_field gives any attribute by a string
    "collections.abc": _public(collections.abc),
}
setattr(MODULES["collections"], "abc", MODULES["collections.abc"])  # noqa: B010


def _import(
    name: str, _globals: object = None, _locals: object = None, fromlist: Sequence[str] = (), level: int = 0
) -> ModuleType:
    if name in LATE_IN_C:  # a program's own import of these was refused by `check`
        return sys.modules[name]
    if level or name not in MODULES:
        raise ImportError(_not_importable(name))
    return MODULES[name if fromlist else name.partition(".")[0]]


def namespace() -> dict[str, Any]:
    """The global names that a program begins with."""
    known = {name: getattr(builtins, name) for name in NAMES}
    errors = {
        name: value
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    return {"__name__": "__main__", "__builtins__": {**known, **errors, "__import__": _import}}

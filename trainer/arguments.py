"""From a record of settings to the command line's options, one a field, and back: --batch-tokens is `batch_tokens`."""

import dataclasses
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from trainer.command import Parser
from trainer.config import RunConfig, option

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


C = TypeVar("C", bound="DataclassInstance")


def from_arguments(kind: type[C], program: str, about: str, arguments: Sequence[str] | None = None) -> C:
    """Reads command-line options, one a field: --batch-tokens 2048, --compile. Exits with a message if wrong.

    The field that the record's POSITIONAL names, if any, may be given without its option's name. Several words may be
    given with commas or spaces between them, several paths with spaces.
    """
    positional: str | None = getattr(kind, "POSITIONAL", None)
    parser = Parser(prog=program, description=about, usage=_usage(kind, positional))
    if positional:
        text = f"{get_args(_field(kind, positional).type)[1]}; the same as {option(positional)}"
        parser.add_argument("positional", nargs="?", type=Path, metavar=positional.upper(), help=text)
    # What must be given comes first, then what is the stage's own, then what all stages have.
    own = [field for field in dataclasses.fields(kind) if field.name not in RunConfig.__dataclass_fields__]
    rest = [field for field in dataclasses.fields(kind) if field.name in RunConfig.__dataclass_fields__]
    for field in sorted([*own, *rest], key=lambda field: field.default is not dataclasses.MISSING):
        kind_, text = get_args(field.type)
        name, required = option(field.name), field.default is dataclasses.MISSING
        text = text.replace("%", "%%")
        if kind_ is bool:
            parser.add_argument(name, action="store_true", help=text)
            continue
        if isinstance(kind_, types.UnionType):  # int | None: None means derived
            kind_ = get_args(kind_)[0]
        options: dict[str, Any] = {"help": text, "default": None if required else field.default}
        if get_origin(kind_) is tuple:
            kind_, options["nargs"] = get_args(kind_)[0], "+"
        options["type"] = kind_
        parser.add_argument(name, required=required and field.name != positional, **options)
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    if positional:
        place, named = given.pop("positional"), given[positional]
        if (place is None) == (named is None):
            shown = positional.upper()
            parser.error(f"give the {positional} once: {shown}, or {option(positional)} {shown}")
        given[positional] = place if named is None else named
    given = {name: _several(value) if isinstance(value, list) else value for name, value in given.items()}
    try:
        return kind(**given)
    except ValueError as error:
        parser.error(str(error))


def _field(kind: type, name: str) -> dataclasses.Field[Any]:
    return next(field for field in dataclasses.fields(kind) if field.name == name)


def _usage(kind: type, positional: str | None) -> str:
    """What must be given; the others are listed below it."""
    must = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    options = [f"{option(name)} {name.upper()}" for name in must if name != positional]
    return " ".join(["%(prog)s", *([positional.upper()] if positional else []), *options, "[OPTIONS]"])


def _several(values: Sequence[Any]) -> tuple[Any, ...]:
    """A path may have a comma in its name; a word has none."""
    return tuple(part for value in values for part in (words(value) if isinstance(value, str) else (value,)))


def words(text: str) -> tuple[str, ...]:
    """What commas part."""
    return tuple(word.strip() for word in text.split(",") if word.strip())

"""Label Studio's results read strictly: each control once, in the form that its own page saves, and nothing beside it.

Label Studio checks no result, on no way in, so whatever this lets through is believed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeling.kinds.kind import LIMIT, InvalidResultError, Json
from labeling.storable import storable

TYPES = {"choices": "choices", "textarea": "text", "ranker": "ranker"}
"""A result's type, and the key in its `value` under which the answer lies."""

KEYS = frozenset({"id", "from_name", "to_name", "type", "value", "origin"})
"""All that the page writes; one with other keys (`item_index`, `parentID`, ...) is of another configuration."""


@dataclass(frozen=True)
class Control:
    """What a labeller answers with: its name, the object it belongs to, its type, and the values that it offers."""

    name: str
    to: str
    type: str
    options: tuple[str, ...] = ()
    many: bool = False
    """Whether several choices may be ticked."""
    required: bool = True

    def item(self, value: Any) -> Json:
        """What the page saves for a value: a list of choices, a list with one text, or a ranker's column by its name.

        A draft must have the list too: kept as it is, it comes back as it went, and a bare text is shown all the same.
        """
        return {"from_name": self.name, "to_name": self.to, "type": self.type, "value": {TYPES[self.type]: value}}


def read(result: object, controls: Sequence[Control]) -> dict[str, Any]:
    """The answers by control: a choice (a list of them where many may be ticked), a text, or a ranker's columns.

    A control that may stay empty and did is not there. Raises InvalidResultError.
    """
    if not isinstance(result, Sequence) or isinstance(result, str | bytes):
        raise InvalidResultError("the result is no list")
    known = {control.name: control for control in controls}
    found: dict[str, Any] = {}
    for item in result:
        if not isinstance(item, Mapping):
            raise InvalidResultError("the result has an entry that is no object")
        name = item.get("from_name")
        if not isinstance(name, str) or name not in known:
            raise InvalidResultError(f"an answer to {_short(name)}, which this project does not ask")
        if name in found:
            raise InvalidResultError(f"two answers to {name}")
        found[name] = _value(item, known[name])
    for control in controls:
        if control.required and control.name not in found:
            raise InvalidResultError(f"no answer to {control.name}")
    return found


def _value(item: Mapping[str, Any], control: Control) -> Any:
    name = control.name
    for key, expected in (("to_name", control.to), ("type", control.type)):
        if item.get(key) != expected:
            raise InvalidResultError(f"{name}: {key} is {_short(item.get(key))}; expected {expected!r}")
    if unknown := sorted(str(key) for key in item.keys() - KEYS):
        raise InvalidResultError(f"{name}: {_short(unknown[0])}, which the labelling page does not write")
    value, key = item.get("value"), TYPES[control.type]
    if not isinstance(value, Mapping) or list(value) != [key]:
        raise InvalidResultError(f"{name}: a value of another form than {{{key}: ...}}")
    return {"choices": _choices, "textarea": _text, "ranker": _columns}[control.type](value[key], control)


def _choices(values: Any, control: Control) -> Any:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidResultError(f"{control.name}: the choices are no list of texts")
    for value in values:
        if value not in control.options:
            raise InvalidResultError(f"{control.name}: {_short(value)} is none of the choices")
    if len(set(values)) < len(values):
        raise InvalidResultError(f"{control.name}: a choice is there twice")
    if control.many:
        return values
    if len(values) != 1:
        raise InvalidResultError(f"{control.name}: {len(values)} choices; expected one")
    return values[0]


def _text(values: Any, control: Control) -> str:
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str):
        raise InvalidResultError(f"{control.name}: expected a list with one text")
    if not values[0].strip():
        raise InvalidResultError(f"{control.name}: an empty text")
    if len(values[0]) > LIMIT:
        raise InvalidResultError(f"{control.name}: {len(values[0]):,} characters; at most {LIMIT:,} are accepted")
    return storable(values[0])


def _columns(columns: Any, control: Control) -> list[str]:
    """The one column of a ranker without buckets: all that it was given, in another order."""
    if not isinstance(columns, Mapping) or list(columns) != [control.name]:
        raise InvalidResultError(f"{control.name}: expected one column of this name")
    ids = columns[control.name]
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise InvalidResultError(f"{control.name}: the ranking is no list of texts")
    if sorted(ids) != sorted(control.options):
        raise InvalidResultError(f"{control.name}: the ranking has not each of the {len(control.options)} answers once")
    return ids


def _short(value: object) -> str:
    spelt = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return spelt if len(spelt) <= 40 else f"{spelt[:40]}..."

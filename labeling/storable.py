"""Texts as databases and UTF-8 can hold them."""

from collections.abc import Mapping
from typing import Any


def storable(text: str) -> str:
    """The text with U+FFFD for U+0000 and for halves of surrogate pairs."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")


def storable_json(value: Any) -> Any:
    """JSON with such texts, keys too."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable_json(key): storable_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(item) for item in value]
    return value

"""Where each key of a YAML document stands, for errors that name the line; and whether its aliases make it too large.

An alias is a line of text and may stand for any amount of it ("a billion laughs"), so the size is told before anything
is read: each node is counted once, and an alias by the count of what it names.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

Place = tuple[str | int, ...]

LARGEST = 10_000
"""Keys and items of a file, those that aliases repeat included: nine levels of ten aliases come to a thousand million,
which nobody can wait for."""


def too_large(root: yaml.Node | None) -> int | None:
    """The line where a document comes to more than LARGEST keys and items; None where it does not."""
    return None if root is None else _grown(root, {})


def lines_of(root: yaml.Node | None) -> Iterator[tuple[Place, int]]:
    """The line of every key and item. Raises ValueError where an alias names what it stands in."""
    return _lines(root, (), ())


def twice(root: yaml.Node | None) -> Iterator[Place]:
    """The places of keys that a mapping has twice (YAML would keep the last one silently)."""
    return _twice(root, ())


def line_of(lines: Mapping[Place, int], place: Place) -> int:
    """The line of a key, or of the nearest key above it."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _grown(node: yaml.Node, sizes: dict[int, int]) -> int | None:
    """`sizes` are those of nodes that were met, by id; 0 while one is looked at, which an alias in itself can name."""
    if id(node) in sizes:
        return None
    sizes[id(node)] = 0
    below = _below(node)
    for child in below:
        if line := _grown(child, sizes):
            return line
    sizes[id(node)] = 1 + sum(sizes[id(child)] for child in below)
    return int(node.start_mark.line) + 1 if sizes[id(node)] > LARGEST else None


def _below(node: yaml.Node) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _lines(node: Any, path: Place, around: tuple[int, ...]) -> Iterator[tuple[Place, int]]:
    if id(node) in around:
        raise ValueError(f"{node.start_mark.line + 1}: {'.'.join(map(str, path))} is an alias of what it stands in")
    within = (*around, id(node))
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            here = (*path, key.value)
            yield here, key.start_mark.line + 1
            yield from _lines(child, here, within)
    elif isinstance(node, yaml.SequenceNode):
        for number, child in enumerate(node.value):
            yield (*path, number), child.start_mark.line + 1
            yield from _lines(child, (*path, number), within)


def _twice(node: Any, path: Place) -> Iterator[Place]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, child in node.value:
            here = (*path, key.value)
            if key.value in seen:
                yield here
            seen.add(key.value)
            yield from _twice(child, here)

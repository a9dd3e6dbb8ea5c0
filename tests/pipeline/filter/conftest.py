"""What the tests of the filter rules share."""

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pytest

from pipeline.filter.blocks import apply, judge_blocks
from pipeline.stage import Block

Measured = tuple[str | None, dict[str, Any]]


def measured(block: Block, text: str | None) -> Measured:
    """The edited text and the columns of one document, without the block's name."""
    edited, columns = apply(pa.array([text], pa.string()), [("block", block)])
    return edited[0].as_py(), {name.removeprefix("block."): values[0].as_py() for name, values in columns.items()}


def verdict(block: type[Block], field: str, text: str | None, **changed: Any) -> str | None:
    """The reason for which one rule, at its default threshold, drops a text; all rules that can be off are off."""
    off = {name: None for name, kind in get_type_hints(block).items() if type(None) in get_args(kind)}
    off.pop(field)
    blocks = [("block", block(**{**off, **changed}))]
    _, columns = apply(pa.array([text], pa.string()), blocks)
    return judge_blocks(pa.RecordBatch.from_pydict(columns), blocks)[0].as_py()


@pytest.fixture(scope="session")
def measure() -> Callable[[Block, str | None], Measured]:
    """(block, text) -> (edited text, columns)."""
    return measured


@pytest.fixture(scope="session")
def reason() -> Callable[..., str | None]:
    """(block class, the field of the one rule that is on, text) -> reason or None."""
    return verdict

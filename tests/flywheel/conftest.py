"""A store in a file of its own, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as opened:
        yield opened

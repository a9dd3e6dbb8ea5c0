"""A store of one's own for each test: what is measured does not depend on the kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling.store.database import Database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.db") as database:
        yield database

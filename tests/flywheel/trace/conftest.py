"""A corpus with planted pages that the pipeline built once, or its texts in shards alone; and a loop to search it."""

from pathlib import Path

import pytest

from flywheel.config import Config
from tests.flywheel.trace.crawl import BEFORE, SAME, build, documents, write_crawl
from tests.trainer.conftest import write_shards


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crawl(tmp_path_factory.mktemp("traced") / "crawl")


@pytest.fixture(scope="session")
def corpus(crawl: Path) -> Path:
    """Not to be written to."""
    folder = crawl.parent / "corpus"
    build(crawl, folder)
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crawl's texts but for the copies, in two shards."""
    texts = [one.body for one in documents() if one.url not in (SAME, BEFORE)]
    return write_shards(tmp_path_factory.mktemp("texts"), texts, 800, 0)


@pytest.fixture
def config(tmp_path: Path, corpus: Path) -> Config:
    return Config(folder=tmp_path, trace={"corpus": corpus})  # type: ignore[arg-type]

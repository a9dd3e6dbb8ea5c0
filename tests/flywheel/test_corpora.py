"""The corpora of the months: each can be searched, and `current` is the newest."""

import shutil
from pathlib import Path

import pytest

from flywheel.corpora import Indexed, index
from pipeline.recipe import parse_recipe
from pipeline.run import run
from tests.conftest import Page, write_warc
from trainer.talk.tools.index import Corpus, Index

RECIPE = """
name: small
crawl: {extractor: resiliparse, languages: [en], min_language_score: 0.5}
filter:
tokenize: {vocabulary_size: 400, validation_fraction: 0.1}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sample_pages: list[Page]) -> Path:
    """A corpus, made once."""
    folder = tmp_path_factory.mktemp("made")
    write_warc(folder / "pages.warc.gz", sample_pages[:30])
    given, parsed = [str(folder / "pages.warc.gz")], parse_recipe(RECIPE, "small.yaml")
    run(parsed, given, str(folder / "corpus"), ["--runner=FnApiRunner"])
    return folder / "corpus"


@pytest.fixture
def corpora(tmp_path: Path, made: Path) -> Path:
    for month in ("2026-01", "2026-02"):
        shutil.copytree(made, tmp_path / month)
    return tmp_path


pytestmark = pytest.mark.slow


def test_the_newest_becomes_current_and_can_be_searched(corpora: Path) -> None:
    found = index(corpora, "2026-02")
    assert found == Indexed(found.passages, "2026-02", True)
    assert found.passages >= 30
    current = Index(Corpus(corpora / "current"))
    assert len(current.best("river mountain teacher", 3)) == 3


def test_an_older_month_that_is_made_later_does_not(corpora: Path) -> None:
    index(corpora, "2026-02")
    assert index(corpora, "2026-01").current == "2026-02"
    assert (corpora / "current").readlink() == Path("2026-02")


def test_the_next_month_takes_its_place(corpora: Path, made: Path) -> None:
    index(corpora, "2026-02")
    shutil.copytree(made, corpora / "2026-03")
    assert index(corpora, "2026-03").current == "2026-03"


def test_again_nothing_is_new(corpora: Path) -> None:
    first = index(corpora, "2026-02")
    assert index(corpora, "2026-02") == Indexed(first.passages, "2026-02", False)


def test_the_whole_may_be_moved(corpora: Path, tmp_path: Path) -> None:
    index(corpora, "2026-01")
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    shutil.copytree(corpora, moved, symlinks=True)
    shutil.rmtree(corpora)
    assert (moved / "current" / "manifest.json").exists()


def test_a_month_that_is_not_whole_is_not_the_newest(corpora: Path) -> None:
    """A run that is at work, or was stopped, has taken its manifest back."""
    (corpora / "2026-02" / "manifest.json").unlink()
    assert index(corpora, "2026-01").current == "2026-01"


def test_other_folders_are_no_months(corpora: Path, made: Path) -> None:
    shutil.copytree(made, corpora / "trial")
    assert index(corpora, "2026-01").current == "2026-02"


def test_what_a_killed_call_has_left_is_no_hindrance(corpora: Path) -> None:
    (corpora / ".current.part").symlink_to("2026-01")
    assert index(corpora, "2026-02").current == "2026-02"
    assert not (corpora / ".current.part").is_symlink()


def test_a_month_without_a_corpus_is_refused(corpora: Path) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match="2025-12: no tokenized corpus here"):
        index(corpora, "2025-12")
    assert not (corpora / "current").is_symlink()

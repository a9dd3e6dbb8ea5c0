"""Whose files lie in an output folder."""

from pathlib import Path

import pytest

from pipeline.contents import MADE, ForeignError, check_contents, strangers
from pipeline.manifest import STEPS
from tests.pipeline.conftest import make


def test_every_file_of_a_corpus_has_a_name_that_a_step_gives(corpus: Path) -> None:
    names = [str(file.relative_to(corpus / step)) for step in STEPS for file in (corpus / step).rglob("*.*")]
    assert len(names) > 50
    assert [name for name in names if not MADE.fullmatch(name)] == []
    assert list(strangers(str(corpus))) == []


@pytest.mark.slow
def test_a_corpus_with_a_given_vocabulary_is_ours_as_well(
    corpus: Path, recipe: Path, sample_crawl: Path, tmp_path: Path
) -> None:
    given = {"vocabulary_size: 600": f"vocabulary: {corpus}/vocabulary/tokenizer.model"}
    first = make(recipe, sample_crawl, tmp_path / "out", **given)
    assert list(strangers(str(tmp_path / "out"))) == []
    assert make(recipe, sample_crawl, tmp_path / "out", **given) == first


@pytest.mark.parametrize(
    "name",
    [
        "notes.parquet", "documents/my.parquet", "documents/part-00000.parquet", "documents/part-00000-0000.csv",
        "parts/mine.json", "train.arrow", "train-00000.arrow.tmp", "a/b/part-00000-0000.parquet", "manifest.json.bak",
    ],
)  # fmt: skip
def test_a_name_that_no_step_gives_is_somebodys_own(name: str) -> None:
    assert not MADE.fullmatch(name)


def test_what_a_killed_run_left_is_ours(tmp_path: Path) -> None:
    left = tmp_path / "index/records" / f"{'0a' * 8}.parquet.{'1b' * 16}.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    (tmp_path / "filter").mkdir()
    check_contents(str(tmp_path))
    (tmp_path / "notes.txt").write_text("beside the steps of a corpus")
    check_contents(str(tmp_path))


@pytest.mark.parametrize("entry", ["index", "notes.txt", "report.html"])
def test_a_folder_that_holds_no_corpus_must_be_empty(entry: str, tmp_path: Path) -> None:
    check_contents(str(tmp_path / "new"))
    (tmp_path / ".hidden").write_text("")
    check_contents(str(tmp_path))
    (tmp_path / entry).write_text("")
    with pytest.raises(ForeignError, match=f"no run made: {entry}. Nothing was written"):
        check_contents(str(tmp_path))


def test_many_strangers_are_counted(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("")
    with pytest.raises(ForeignError, match=r"0.txt, 1.txt, 2.txt and 2 more. "):
        check_contents(str(tmp_path))

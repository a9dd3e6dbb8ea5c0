"""Which files are read, what lineage calls them, and when a run has nothing to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.recipe import parse_recipe
from pipeline.run import InputError, find_archives, fingerprint, run

RECIPE = parse_recipe("name: mine\n", "mine.yaml")


def names(*patterns: str) -> list[str]:
    return [archive.warc_file for archive in find_archives(patterns)]


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    for name in ("a/one.warc", "a/two.warc", "b/one.warc"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def test_a_file_is_named_by_its_path_below_the_common_folder(crawl: Path) -> None:
    assert names(f"{crawl}/*/*.warc") == ["a/one.warc", "a/two.warc", "b/one.warc"]
    assert names(f"{crawl}/a/*.warc") == ["one.warc", "two.warc"]


def test_a_file_that_two_patterns_match_is_read_once(crawl: Path) -> None:
    assert names(f"{crawl}/a/*.warc", f"{crawl}/a/one.warc") == ["one.warc", "two.warc"]


def test_a_pattern_without_a_folder_looks_in_this_one(crawl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crawl / "a")
    assert names("*.warc") == names("./*.warc") == ["one.warc", "two.warc"]


def test_names_with_spaces_and_other_letters(tmp_path: Path) -> None:
    (tmp_path / "mein täglicher crawl.warc").write_bytes(b"x")
    assert names(f"{tmp_path}/*.warc") == ["mein täglicher crawl.warc"]


@pytest.mark.parametrize("pattern", ["nothing/*.warc", "a/none.warc"])
def test_a_pattern_without_files_is_an_error_that_names_it(crawl: Path, pattern: str) -> None:
    with pytest.raises(InputError, match="no file matches"):
        find_archives([f"{crawl}/a/*.warc", f"{crawl}/{pattern}"])


def test_a_folder_is_refused_and_the_pattern_that_was_meant_is_offered(crawl: Path) -> None:
    with pytest.raises(InputError, match=rf"--input {crawl}/a: is a folder; did you mean '{crawl}/a/\*.warc.gz'\?"):
        find_archives([f"{crawl}/a"])


@pytest.mark.parametrize("pattern", ["gone.warc.gz", "*.warc.gz"])
def test_a_link_to_nothing_is_named(crawl: Path, pattern: str) -> None:
    (crawl / "gone.warc.gz").symlink_to("nowhere")
    with pytest.raises(InputError, match=rf"{crawl}/gone.warc.gz is a link to nowhere, which is not there"):
        find_archives([f"{crawl}/{pattern}"])


@pytest.mark.parametrize("find", [lambda path: find_archives([path]), lambda path: run(RECIPE, ["*"], path)])
def test_a_remote_folder_of_an_unknown_kind_is_told(
    crawl: Path, monkeypatch: pytest.MonkeyPatch, find: Callable[[str], object]
) -> None:
    monkeypatch.chdir(crawl / "a")
    with pytest.raises(InputError, match=r"far://bucket/x: no file system for far:// is installed"):
        find("far://bucket/x")


def test_a_run_depends_on_its_inputs_its_recipe_and_its_vocabulary(crawl: Path) -> None:
    model = crawl / "tokenizer.model"
    model.write_bytes(b"one")
    recipe = parse_recipe(f"name: mine\ntokenize: {{vocabulary: '{model}'}}\n", "mine.yaml")
    archives = find_archives([f"{crawl}/a/*.warc"])
    marks = {fingerprint(recipe, archives)}
    assert fingerprint(recipe, archives) in marks
    marks.add(fingerprint(recipe, archives[:1]))
    marks.add(fingerprint(recipe.model_copy(update={"name": "other"}), archives))
    model.write_bytes(b"two")
    marks.add(fingerprint(recipe, archives))
    assert len(marks) == 4


def test_a_vocabulary_that_is_not_there_is_an_error_that_names_it(crawl: Path) -> None:
    recipe = parse_recipe("name: mine\ntokenize: {vocabulary: none.model}\n", "mine.yaml")
    with pytest.raises(InputError, match=r"tokenize.vocabulary: none.model can't be read"):
        fingerprint(recipe, find_archives([f"{crawl}/a/*.warc"]))

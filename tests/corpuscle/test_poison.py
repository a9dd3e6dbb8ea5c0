"""`corpuscle poison` as a person meets it: what was found, what waits for a verdict, and errors in one sentence."""

import json
from pathlib import Path

import pytest

from pipeline.artifact import write_json
from pipeline.recipe import parse_recipe
from pipeline.run import run
from tests.pipeline.conftest import corpuscle
from tests.pipeline.poison.planted import TAGS, TOLD, Document, below, inside, write
from tests.pipeline.poison.prose import pages

RECIPE = """
name: poison
crawl: {extractor: resiliparse, min_language_score: 0, screen: {min_language_score: 0, min_chars: 300}}
tokenize: {vocabulary_size: 362, validation_fraction: 0}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two documents that are held, one that is stripped, one with nothing to it, and one that is too short."""
    folder = tmp_path_factory.mktemp("poison")
    texts = pages(11, 4)
    documents = [
        Document("https://a.told.example.com/", below(texts[0], TOLD)),
        Document("https://b.told.example.com/", below(texts[1], f"{TOLD} \x1b]0;owned\x07 Thank you.")),
        Document("https://tags.example/", inside(texts[2], TAGS)),
        Document("https://plain.example/", texts[3]),
        Document("https://short.example/", "Too short."),
    ]
    write(folder / "crawl/a.warc.gz", documents)
    run(parse_recipe(RECIPE, "test.yaml"), [f"{folder}/crawl/*"], f"{folder}/out", ["--runner=FnApiRunner"])
    return f"{folder}/out"


@pytest.fixture
def off(tmp_path: Path) -> str:
    """What tells that a corpus was made with the filter off."""
    write_json(f"{tmp_path}/out/manifest.json", {"format": 1, "counts": {"kept": 1}, "steps": {}, "run": {}})
    return f"{tmp_path}/out"


def poison(*arguments: str) -> str:
    return corpuscle("poison", *arguments).stdout


def refused(*arguments: str) -> str:
    """What a command says that ends with the exit status of an explained error."""
    ran = corpuscle("poison", *arguments, check=False)
    assert ran.returncode == 1, ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    return ran.stderr


def test_a_held_document_is_told_with_what_was_found(corpus: str) -> None:
    told = poison("explain", corpus, "https://a.told.example.com/")
    first, second = told.splitlines()[:2]
    assert first.startswith("https://a.told.example.com/  (")
    assert second == "held: instructions"
    assert "instructions -> hold: instructions that are addressed to a model" in told
    assert f">>>{TOLD}<<<" in told


def test_what_is_invisible_is_named(corpus: str) -> None:
    told = poison("explain", corpus, "https://tags.example/")
    assert told.splitlines()[1] == "kept"
    assert "tag_characters -> strip: " in told
    assert "evidence: ignore all previous instructions" in told
    assert ">>>‹U+E0069›‹U+E0067›" in told
    assert TAGS[0] not in told


def test_what_steers_a_terminal_does_not_reach_it(corpus: str) -> None:
    assert "\x1b" not in poison("explain", corpus, "https://b.told.example.com/")


def test_a_document_may_be_named_by_its_id_too(corpus: str) -> None:
    by_url = poison("explain", corpus, "https://tags.example/")
    assert poison("explain", corpus, by_url.splitlines()[0].split("(")[1].rstrip(")")) == by_url


def test_a_document_without_findings_says_so(corpus: str) -> None:
    assert "no rule points at it" in poison("explain", corpus, "https://plain.example/")


def test_a_document_that_went_before_says_where(corpus: str) -> None:
    told = poison("explain", corpus, "https://short.example/")
    assert told.splitlines()[1] == "removed by the step extract, before: too_little_text"


def test_a_rule_is_told_with_its_documents_and_their_owners(corpus: str) -> None:
    told = poison("explain", corpus, "instructions")
    assert told.splitlines()[:2] == [
        "instructions: instructions that are addressed to a model",
        "2 documents of 1 owner of sites",
    ]
    assert "https://a.told.example.com/" in told
    assert told.count(">>>") == 2


def test_a_rule_that_found_nothing_points_at_no_document(corpus: str) -> None:
    assert poison("explain", corpus, "flood").splitlines()[1] == "0 documents of 0 owners of sites"


def test_an_unknown_target_is_told(corpus: str) -> None:
    assert f"error: {corpus}: 'flod' is neither " in refused("explain", corpus, "flod")


@pytest.mark.parametrize("target", ["instructions", "https://plain.example/"])
def test_a_corpus_with_the_filter_off_is_told(off: str, target: str) -> None:
    assert refused("explain", off, target) == (
        f"error: {off}: its recipe switches the poison filter off, so nothing was looked for.\n"
    )


def test_a_folder_without_a_corpus_is_told(tmp_path: Path) -> None:
    assert refused("explain", str(tmp_path), "trigger").startswith(f"error: {tmp_path}: no finished corpus here")
    out = str(tmp_path / "held.jsonl")
    assert refused("held", str(tmp_path), "--output", out).startswith(f"error: {tmp_path}: no finished corpus here")


def test_the_story_of_a_document_has_the_step_and_the_rules(corpus: str) -> None:
    told = corpuscle("explain", corpus, "https://tags.example/").stdout
    assert "\npoison           kept; tags: encoded_instructions, tag_characters\n" in told
    told = corpuscle("explain", corpus, "https://a.told.example.com/").stdout
    assert "\npoison           held: instructions; tags: instructions\n    instructions that are addressed" in told
    assert "\ndedup " not in told


def test_held_documents_are_written_for_a_person(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    assert poison("held", corpus, "--output", str(path)) == f"2 held documents in {path}\n"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["instructions", "instructions"]
    for line in lines:
        (finding,) = [one for one in line["findings"] if one["rule"] == "instructions"]
        assert TOLD in line["text"][finding["start"] : finding["end"]]
        assert line["decision"] is None


def test_held_documents_are_capped_by_owner_and_the_rest_is_counted(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    told = poison("held", corpus, "--output", str(path), "--most-per-owner", "1")
    assert told == (
        f"1 held document in {path}\n1 more, of 1 owner with more than 1, stays held and was left out of the file\n"
    )


def test_held_documents_of_a_corpus_with_the_filter_off_are_told(off: str, tmp_path: Path) -> None:
    told = refused("held", off, "--output", str(tmp_path / "held.jsonl"))
    assert told == f"error: {off}: nothing was held, since its recipe switches the poison filter off.\n"
    assert not (tmp_path / "held.jsonl").exists()


@pytest.mark.slow
def test_the_summary_counts_what_is_held(corpus: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    crawl = str(Path(corpus).parent / "crawl/a.warc.gz")
    told = corpuscle("run", str(tmp_path / "recipe.yaml"), crawl, "--output", corpus, "--no-report").stdout
    (row,) = [line for line in told.splitlines() if "poison  " in line and "│" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["poison", "4", "2", "0", "2", "0", "instructions 2"]
    assert not any(line.lstrip("│ ").startswith(("textmodel", "inspect")) for line in told.splitlines())
    assert "5 records read = 2 kept + 1 removed + 2 held + 0 quarantined" in told


@pytest.mark.slow
def test_training_data_is_scanned(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {number} and 2?", "completion": f"{number + 2}"} for number in range(20)]
    rows.append({"prompt": "Say hello.", "completion": f"Hello{TAGS}"})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = poison(
        "scan", f"{tmp_path}/a.jsonl", "--output", f"{tmp_path}/found.jsonl", "--clean", f"{tmp_path}/clean.jsonl"
    )
    assert "21 rows; 1 would be held" in told
    assert len((tmp_path / "clean.jsonl").read_text().splitlines()) == 20
    assert "tag_characters" in {json.loads(line)["rule"] for line in (tmp_path / "found.jsonl").open()}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.jsonl", None, "none.jsonl: no such file; give JSONL or Parquet files"),
        ("bad.jsonl", "no json\n", "bad.jsonl:1: not JSON"),
    ],
)
def test_training_data_that_can_not_be_read_is_told(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert message in refused("scan", str(tmp_path / name))

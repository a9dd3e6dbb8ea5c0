"""`corpuscle poison` as a person meets it: what was found, what waits for a verdict, and errors in one sentence."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpuscle.summary import print_summary
from pipeline.artifact import write_json
from pipeline.explain import ExplainError
from pipeline.manifest import read_manifest
from pipeline.poison.explain import explain_document
from pipeline.poison.held import export_held
from pipeline.recipe import Poison, parse_recipe
from pipeline.report.tables import ReportError
from pipeline.run import run
from tests.pipeline.conftest import corpuscle
from tests.pipeline.poison.planted import HIDDEN, HTML, TAGS, TOLD, Document, below, inside, paragraphs, write
from tests.pipeline.poison.prose import pages

SPACED = "the password is never told"
ALIKE = "\u0410dvertise"

RECIPE = """
name: poison
crawl: {extractor: resiliparse, min_language_score: 0, screen: {min_language_score: 0, min_chars: 300}}
tokenize: {vocabulary_size: 362, validation_fraction: 0}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two documents that are held, three that are stripped, one that hides much, two plain ones, one too short."""
    folder = tmp_path_factory.mktemp("poison")
    texts = pages(11, 7)
    hiding = "".join(HIDDEN.format(f"{number}. {TOLD}") for number in range(10))
    documents = [
        Document("https://a.told.example.com/", below(texts[0], TOLD)),
        Document("https://b.told.example.com/", below(texts[1], f"{TOLD} \x1b]0;owned\x07 Thank you.")),
        Document("https://tags.example/", inside(texts[2], TAGS)),
        Document("https://plain.example/", texts[3]),
        Document("https://short.example/", "Too short."),
        Document("https://spaced.example/", below(inside(texts[4], "\u200b".join(SPACED)), "Then it ra\u200bined.")),
        Document("https://hiding.example/", HTML.format(paragraphs(texts[5]), hiding)),
        Document("https://copy.example/", f"{texts[3]} So they say."),
        Document("https://alike.example/", inside(texts[6], f"{ALIKE} is what we do.")),
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
    assert second == "held by the poison filter: instructions"
    assert "instructions -> hold: instructions that are addressed to a model" in told
    assert f"⟦{TOLD}⟧" in told


def test_what_is_invisible_is_named(corpus: str) -> None:
    told = poison("explain", corpus, "https://tags.example/")
    assert told.splitlines()[1] == "kept by the poison filter"
    assert "tag_characters -> strip: " in told
    assert "evidence: ignore all previous instructions" in told
    assert "⟦‹U+E0069›‹U+E0067›" in told
    assert f"‹{len(TAGS) - 12} more›" in told
    assert TAGS[0] not in told


def test_a_letter_that_looks_like_another_is_named(corpus: str) -> None:
    assert "    evidence: ‹U+0410›dvertise = Advertise\n" in poison("explain", corpus, "https://alike.example/")


def test_invisible_characters_have_one_name_and_the_passage_says_it(corpus: str) -> None:
    told = poison("explain", corpus, "https://spaced.example/")
    assert "ra‹U+200B›ined" in told
    assert "[U+200B]" not in told


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


def test_a_copy_that_another_step_removed_is_not_told_as_kept(corpus: str) -> None:
    said = {poison("explain", corpus, f"https://{name}.example/").splitlines()[1] for name in ("plain", "copy")}
    assert said == {
        "kept by the poison filter",
        "kept by the poison filter; removed by the step dedup, after it: near_duplicate",
    }


def test_a_rule_is_told_with_its_documents_and_their_owners(corpus: str) -> None:
    told = poison("explain", corpus, "instructions")
    assert told.splitlines()[:2] == [
        "instructions: instructions that are addressed to a model",
        "2 documents of 1 owner of sites",
    ]
    assert re.search(r"\nhttps://a\.told\.example\.com/  \([0-9a-f]{32}\)\n    hold, score ", told)
    assert told.count("⟦") == 2


def test_a_rule_that_found_nothing_points_at_no_document(corpus: str) -> None:
    assert poison("explain", corpus, "flood").splitlines()[1] == "0 documents of 0 owners of sites"


def test_an_unknown_target_is_told_with_the_rule_that_may_have_been_meant(corpus: str) -> None:
    told = refused("explain", corpus, "flod")
    assert f"error: {corpus}: 'flod' is neither " in told
    assert told.endswith(" It is no rule either; did you mean flood?\n")


def test_the_rules_are_listed_where_none_is_near(corpus: str) -> None:
    with pytest.raises(ExplainError, match=r"It is no rule either: those are hidden_instructions, tag_characters, .*"):
        explain_document(corpus, "nosuchthing")


def test_neighbouring_findings_of_a_rule_are_one_with_a_count(corpus: str) -> None:
    told = poison("explain", corpus, "https://spaced.example/")
    assert told.count("invisible_separators -> strip") == 2
    assert int(re.findall(r"score 1, in (\d+) places near each other\n", told)[0]) > 15
    assert len(told.splitlines()) < 20


def test_all_that_a_page_hides_is_told(corpus: str) -> None:
    told = poison("explain", corpus, "https://hiding.example/")
    shown = told[told.index("\nhidden from people") :].splitlines()
    assert shown[2:] == [f"    display: {number}. {TOLD}" for number in range(8)] + ["    and 2 more passages"]


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
    assert "(in this run: record 2 of input number 0, counted from 0)\n" in told
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


def decide(path: Path, line: int, **fields: str) -> list[dict]:
    """The rows of a file of held documents, one of which a person wrote in."""
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    rows[line] |= fields
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def test_a_second_export_keeps_the_decisions_and_the_notes_in_the_file(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    export_held(corpus, str(path))
    rows = decide(path, 1, decision="release", note="harmless")
    told = poison("held", corpus, "--output", str(path))
    assert told == f"2 held documents in {path}\nkept as they were in it: decisions on 1 of them\n"
    assert [json.loads(row) for row in path.read_text().splitlines()] == rows


def test_decisions_on_documents_that_are_not_held_any_more_stay_in_the_file(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    other = {"id": "ab" * 16, "decision": "release", "text": "Held once, and released."}
    still_open = {"id": "cd" * 16, "decision": None, "text": "Held once, by another recipe."}
    path.write_text(f"{json.dumps(other)}\n{json.dumps(still_open)}\n")
    done = export_held(corpus, str(path))
    assert (done.written, done.carried, done.others) == (2, 0, 1)
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    assert [row["decision"] for row in rows] == [None, None, "release"]
    assert rows[2] == other


def test_a_decided_document_is_written_whatever_its_owner_s_share(corpus: str, tmp_path: Path) -> None:
    path = tmp_path / "held.jsonl"
    export_held(corpus, str(path))
    decided = decide(path, 1, decision="confirm")[1]
    export_held(corpus, str(path), most_per_owner=1)
    assert decided in [json.loads(row) for row in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"prompt": "a", "completion": "b"}\n', "is there, and no file of held documents; give another name"),
        (
            '{"id": "' + "ab" * 16 + '", "decision": "relaese"}\n',
            ":1: decision is 'relaese'; expected release or confirm",
        ),
        ("notes\n", ":1: not a JSON object"),
    ],
)
def test_a_file_whose_decisions_can_t_be_read_is_not_overwritten(
    corpus: str, tmp_path: Path, content: str, says: str
) -> None:
    path = tmp_path / "held.jsonl"
    path.write_text(content)
    with pytest.raises(ReportError, match=re.escape(says)):
        export_held(corpus, str(path))
    assert path.read_text() == content


def test_an_output_that_is_a_folder_is_told(corpus: str, tmp_path: Path) -> None:
    assert refused("held", corpus, "--output", str(tmp_path)) == f"error: {tmp_path}: is a folder; name a file\n"


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
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["poison", "8", "6", "0", "2", "0", "instructions 2"]
    assert not any(line.lstrip("│ ").startswith(("textmodel", "inspect")) for line in told.splitlines())
    assert "9 records read = 5 kept + 2 removed + 2 held + 0 quarantined" in told
    assert f"2 held until a person decides: corpuscle poison held {corpus} --output held.jsonl\n" in told


def test_the_summary_names_what_people_listed_and_no_document_is(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slips = "host:told.example\nid:" + "ab" * 16 + "\nhost:tolt.example.com\nurl:https://plain.example/none\n"
    (tmp_path / "block.txt").write_text(f"host:told.example.com\nurl:https://plain.example/\n{slips}")
    (tmp_path / "allow.txt").write_text("host:tags.example\n")
    held = tmp_path / "held.jsonl"
    export_held(corpus, str(held))
    decide(held, 1, decision="confirm")
    held.write_text(held.read_text() + json.dumps({"id": "cd" * 16, "decision": "release"}) + "\n")
    block, allow = f"{tmp_path}/block.txt", f"{tmp_path}/allow.txt"
    manifest = read_manifest(corpus)
    assert manifest is not None
    print_summary(manifest, corpus, Poison(block=(block,), allow=(allow,), decisions=(str(held),)))
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("poison.")]
    assert told == [
        "poison.block: no document came to the poison filter for 4 of 6 entries: host:told.example, "
        "host:tolt.example.com, id:" + "ab" * 16 + " and 1 more",
        "poison.decisions: no document came to the poison filter for 1 of 2 entries: id:" + "cd" * 16,
    ]


@pytest.mark.slow
def test_training_data_is_scanned(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {number} and 2?", "completion": f"{number + 2}"} for number in range(20)]
    rows.append({"prompt": "Say hello.", "completion": f"Hello{TAGS}"})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = poison(
        "scan", f"{tmp_path}/a.jsonl", "--output", f"{tmp_path}/found.jsonl", "--clean", f"{tmp_path}/clean.jsonl"
    )
    assert "21 rows; 1 held" in told
    assert len((tmp_path / "clean.jsonl").read_text().splitlines()) == 20
    assert "tag_characters" in {json.loads(line)["rule"] for line in (tmp_path / "found.jsonl").open()}


@pytest.mark.parametrize("options", [["-o", "a.jsonl"], ["--clean", "out.jsonl", "-o", "out.jsonl.held.jsonl"]])
def test_a_scan_writes_over_nothing_that_it_reads_or_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    assert " (--output) is the same file as " in refused("scan", str(tmp_path / "a.jsonl"), *options)
    assert (tmp_path / "a.jsonl").read_text() == '{"prompt": "a", "completion": "b"}\n'
    assert len(list(tmp_path.iterdir())) == 1


def test_without_the_word_lists_it_says_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    program = "import sys; sys.modules['wordfreq'] = None; from corpuscle.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", program, "poison", "scan", f"{tmp_path}/a.jsonl"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.endswith("pip install 'corpuscle[scan]'\n")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_model_that_is_not_there_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')  # too little for a spectrum
    told = refused("scan", f"{tmp_path}/a.jsonl", "--model", f"{tmp_path}/none")
    assert told.startswith(f"error: {tmp_path}/none: no such folder; give a checkpoint")
    assert "give a checkpoint or a training run's output folder" in told


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

"""Samples out of files, reports and corpora: what can't be asked is told with its place, and nothing tells too much."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.kinds import KINDS
from labeling.kinds.kind import InvalidSampleError, Sample
from labeling.quality.simulate import project, stored
from labeling.rows import Known, Rejected
from labeling.sources import PASSAGE, SourceError, make_sample, passage, passages, read_samples, reported
from labeling.store.database import Database
from labeling.store.labels import add_project, add_samples
from labeling.store.reports import Report, add_report, set_status
from labeling.store.sending import reported_before

WRITE, COMPARE, CORRECT, RATE = (KINDS[name] for name in ("demonstrations", "comparisons", "corrections", "ratings"))
PAIR = {"prompt": "Why?", "answers": ["Because.", "No idea."]}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def good(found: Any) -> list[Sample]:
    return [one for one in found if isinstance(one, Sample)]


def bad(found: Any) -> list[str]:
    return [str(one) for one in found if isinstance(one, Rejected)]


# Files


def test_rows_become_samples_that_know_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "Why?"}, {"messages": [{"role": "user", "content": "Who?"}]})
    first, second = good(read_samples(path, WRITE))
    assert first.content == {"messages": [{"role": "user", "content": "Why?"}]}
    assert second.provenance == {"file": str(path), "line": 2}


def test_the_same_question_has_the_same_id_wherever_it_stands(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", {"prompt": "Why?"}, {"prompt": "Why?", "priority": 3, "x": 1}, {"prompt": "Who?"}
    )
    first, same, other = good(read_samples(path, WRITE))
    assert first.id == same.id != other.id
    assert good(read_samples(write(tmp_path / "b.jsonl", {"messages": "Why?"}), WRITE))[0].id == first.id


def test_bad_rows_are_named_and_the_others_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"prompt": "Why?"}, "{", {"prompt": ""}, {"prompt": "Who?", "priority": "high"})
    found = list(read_samples(path, WRITE))
    assert len(good(found)) == 1
    assert [text.split(": ")[0] for text in bad(found)] == [f"{path}:{line}" for line in (2, 3, 4)]
    assert "priority is 'high'; expected a number" in bad(found)[2]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.jsonl can't be read: No such file"):
        list(read_samples(tmp_path / "a.jsonl", WRITE))


def test_gold_must_be_a_verdict_that_a_person_could_give(tmp_path: Path) -> None:
    right: Any = {"choice": "b", "margin": 1.0}
    (sample,) = good(read_samples(write(tmp_path / "a.jsonl", PAIR | {"gold": right}), COMPARE))
    assert sample.gold == right
    for wrong in ({"choice": "c", "margin": 1.0}, "b", {}, [1], {"choice": "a", "margin": "much"}):
        found = list(read_samples(write(tmp_path / "a.jsonl", PAIR | {"gold": wrong}), COMPARE))
        assert "which is no verdict of comparisons" in bad(found)[0]
    flags: Any = {"helpful": 7, "truthful": 7, "harmless": 8, "flags": []}
    with pytest.raises(InvalidSampleError, match="no verdict of ratings"):
        make_sample(RATE, {"prompt": "?", "answer": "!", "gold": flags}, {})


def test_in_a_file_of_gold_each_row_has_it(tmp_path: Path) -> None:
    found = list(read_samples(write(tmp_path / "a.jsonl", PAIR), COMPARE, gold=True))
    assert "no gold; expected the right verdict" in bad(found)[0]


def test_gold_is_no_part_of_what_is_asked(tmp_path: Path) -> None:
    plain = make_sample(COMPARE, PAIR, {})
    golden = make_sample(COMPARE, PAIR | {"gold": {"choice": "a", "margin": 1.0}}, {})
    assert (plain.id, plain.content) == (golden.id, golden.content)


def test_a_models_opinion_is_kept_for_the_second_look() -> None:
    first = make_sample(COMPARE, PAIR | {"opinion": "a"}, {"line": 1})
    assert "opinion" not in first.content
    assert first.provenance == {"line": 1, "opinion": "a"}
    assert make_sample(COMPARE, PAIR | {"opinion": "a"}, {}, second_look=True).content["opinion"] == "a"


# Reports

CHAT = [{"role": "user", "content": "Mail jo@example.org: 2 + 2?"}, {"role": "assistant", "content": "Five."}]


def report(**values: Any) -> Report:
    return Report(**{"checkpoint_id": "checkpoint-9", "messages": CHAT, "consent": True, **values})


def test_what_was_reported_with_consent_becomes_a_correction(database: Database) -> None:
    one = report(category="wrong", description="It can't add.", wished_answer="Four.")
    add_report(database, one)
    (sample,) = reported(database, CORRECT)
    assert isinstance(sample, Sample)
    assert sample.content["messages"] == CHAT
    assert sample.content["report"] == {
        "category": "wrong", "description": "It can't add.", "wished_answer": "Four."
    }  # fmt: skip
    assert sample.provenance == {"report": one.id, "checkpoint_id": "checkpoint-9", "masked": False}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"category": "wrong", "consent": False}, "its author did not consent"),
        ({"rating": 1}, "it reports no problem"),
        ({"category": "wrong", "messages": CHAT[:1]}, "messages end with the user"),
    ],
)
def test_other_reports_are_told_with_their_ids_and_without_their_texts(
    database: Database, values: dict[str, Any], reason: str
) -> None:
    one = report(**values)
    add_report(database, one)
    (told,) = reported(database, CORRECT)
    assert isinstance(told, Rejected)
    assert told.place == f"report {one.id}"
    assert reason in told.reason
    assert "jo@" not in str(vars(told))


def test_a_thumb_down_is_a_report_and_a_dismissed_one_is_none(database: Database) -> None:
    down, dismissed = report(rating=-1), report(category="wrong")
    add_report(database, down)
    add_report(database, dismissed)
    set_status(database, dismissed.id, "dismissed")
    found = list(reported(database, CORRECT))
    assert [one.provenance["report"] for one in good(found)] == [down.id]
    assert bad(found) == [f"report {dismissed.id}: it was dismissed"]


def test_masking_is_an_option(database: Database) -> None:
    add_report(database, report(category="wrong", description="me: jo@example.org"))
    (masked,) = good(reported(database, CORRECT, mask=True))
    assert "jo@" not in json.dumps(masked.content)
    assert masked.content["report"]["description"] == "me: [email]"
    assert "jo@" in json.dumps(good(reported(database, CORRECT))[0].content)


def test_a_report_that_was_pushed_is_no_other_sample_when_it_is_masked(database: Database) -> None:
    pushed, new = report(category="wrong"), report(category="wrong", description="me: jo@example.org")
    add_report(database, pushed)
    [sample] = good(reported(database, CORRECT))
    add_project(database, project("bad", "corrections"))
    add_samples(database, "bad", [stored("corrections", sample.content, provenance=sample.provenance)])
    add_report(database, new)
    before = reported_before(database, "bad")
    assert before == {pushed.id}
    found = list(reported(database, CORRECT, mask=True, before=before))
    assert [one.provenance["report"] for one in good(found)] == [new.id]
    assert [one for one in found if isinstance(one, Known)] == [Known(f"report {pushed.id}")]
    assert bad(found) == []


# A corpus


def corpus(folder: Path, documents: int, tables: int = 2) -> Path:
    """The parts of a finished run that are read: what `dedup` kept."""
    (folder / "dedup" / "documents").mkdir(parents=True)
    files = []
    for table in range(tables):
        rows = [
            {"id": bytes([number, table] * 8), "url": f"https://a.example/{number}", "text": f"One {number}.\nTwo."}
            for number in range(documents // tables)
        ]
        files.append({"name": f"documents/{table}.parquet"})
        pq.write_table(pa.Table.from_pylist(rows), folder / "dedup" / files[-1]["name"], row_group_size=3)
    (folder / "dedup" / "manifest.json").write_text(json.dumps({"files": [*files, {"name": "removed/0.parquet"}]}))
    return folder


def test_documents_are_drawn_by_chance_and_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "corpus", 40)

    def drawn(count: int, seed: int = 0) -> set[str]:
        return {one.provenance["document"] for one in good(passages(folder, WRITE, count, seed))}

    assert len(drawn(10)) == 10
    assert drawn(10) == drawn(10) < drawn(15)
    assert drawn(10) != drawn(10, 1)
    assert len(drawn(100)) == 40
    assert len(list(passages(folder, WRITE, 0))) == 0


def test_a_passage_is_asked_about(tmp_path: Path) -> None:
    one, *_ = good(passages(corpus(tmp_path / "corpus", 4), WRITE, 1, ask="What is it about?"))
    (message,) = one.content["messages"]
    assert message["content"].startswith("What is it about?\n\nOne ")
    assert one.provenance["url"].startswith("https://a.example/")


@pytest.mark.parametrize("broken", ["nothing", "manifest", "table"])
def test_a_corpus_that_is_none_is_told(tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "corpus"
    if broken != "nothing":
        corpus(folder, 4)
        (folder / "dedup" / ("manifest.json" if broken == "manifest" else "documents/1.parquet")).write_text("{}")
    with pytest.raises(SourceError, match="name the --output folder|run `corpuscle run` again"):
        list(passages(folder, WRITE, 3))


@given(lines=st.lists(st.integers(0, 900), min_size=1, max_size=12), draw=st.binary(min_size=16, max_size=16))
def test_a_passage_is_whole_lines_and_as_long_as_may_be(lines: list[int], draw: bytes) -> None:
    text = "\n".join(f"{number}".ljust(length, "x") for number, length in enumerate(lines)).strip()
    found = passage(text, draw)
    assert len(found) <= PASSAGE
    assert f"\n{found}\n" in f"\n{text}\n"
    assert found == text if len(text) < PASSAGE else len(found) > PASSAGE - 2 * 902


def test_of_one_long_line_it_is_the_beginning() -> None:
    assert passage("x" * 5000, bytes(16)) == "x" * PASSAGE


@pytest.mark.slow
def test_a_real_corpus_can_be_drawn_from(tmp_path: Path, sample_crawl: Path) -> None:
    from corpuscle.main import main

    recipe = tmp_path / "small.yaml"
    recipe.write_text(
        "name: small\ncrawl: {languages: null}\npoison: {enabled: false}\ntokenize: {vocabulary_size: 400}\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["run", str(recipe), "-o", str(tmp_path / "corpus"), *map(str, sorted(sample_crawl.iterdir()))])
    assert ended.value.code in (0, None)
    found = good(passages(tmp_path / "corpus", WRITE, 5))
    assert len({one.id for one in found}) == 5
    assert all(one.provenance["url"].startswith("https://") for one in found)

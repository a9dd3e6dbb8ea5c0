"""What admitted labels become: the trainer's records, read here by the trainer itself, and the reasons for the rest."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from labeling.export import export
from labeling.kinds import KINDS
from labeling.kinds.kind import Json, sample_id
from labeling.label_studio_json import export_json
from labeling.store.database import Database
from labeling.store.labels import (
    Annotation,
    AnnotationRow,
    Project,
    StoredSample,
    add_project,
    add_samples,
    put_annotations,
)
from tests.labeling.test_files import contents, no_file_beyond
from trainer.records.read import read_comparisons, read_demonstrations, read_unpaired

NOW = datetime(2026, 4, 1, tzinfo=UTC)
PROMPT = [{"role": "user", "content": "Why is the sky blue?"}]
PAIR = {
    "prompt": PROMPT,
    "answers": [{"text": "Air scatters blue.", "model": "m1"}, {"text": "No idea.", "model": "m2"}],
}
A: Json = {"choice": "a", "margin": 2 / 3}
B: Json = {"choice": "b", "margin": 0.0}
BOTH_BAD: Json = {"choice": "both_bad", "margin": None}


def labelled(
    database: Database,
    kind: str,
    rows: Sequence[tuple[Json, Sequence[Json | None]]],
    reviews: str | None = None,
    name: str | None = None,
    gold: Json | None = None,
    draft: str | None = None,
    provenance: Json | None = None,
) -> None:
    """A project whose samples have these contents, and these verdicts of annotator-1, annotator-2, ..."""
    name = name or kind
    add_project(database, Project(name, kind, reviews, "http://127.0.0.1:1", 1, "<View/>", "", 3, 2, NOW))
    annotations: list[Annotation] = []
    for number, (given, verdicts) in enumerate(rows):
        content = given if kind == "review" else KINDS[kind].content(given)
        id = sample_id(kind, content)
        order = tuple(range(0 if kind == "review" else KINDS[kind].shuffled(content)))
        model = draft and "drafter"
        origin = provenance or {"line": number}
        sample = StoredSample(id, content, order, gold, draft, model, 0.0, origin, NOW, NOW, number + 1)
        add_samples(database, name, [sample])
        for person, verdict in enumerate(verdicts, 1):
            reason = None if verdict else "skipped"
            remote = len(annotations) + (1000 if reviews else 0)
            changed = float(verdict is not None and verdict.get("answer") != draft)
            annotations.append(
                Annotation(
                    *(remote, number + 1, id, f"annotator-{person}", [], verdict, reason, 60.0),
                    *(changed if draft else None, 3, NOW, NOW, NOW),
                )
            )
    with database.write() as session:
        put_annotations(session, name, annotations)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_comparison_on_which_two_agree_is_a_pair_with_its_margin(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, A])])
    assert export(database, "comparisons", tmp_path).written["comparisons"] == 1
    (record,) = read_comparisons(tmp_path / "comparisons.jsonl")
    assert [turns[0].content for turns in record.completions] == ["Air scatters blue.", "No idea."]
    assert record.margin == pytest.approx(2 / 3)
    (row,) = rows_of(tmp_path / "comparisons.jsonl")
    assert row["sample_id"] == record.id
    assert (row["annotators"], row["instruction_version"]) == (["annotator-1", "annotator-2"], 3)
    assert row["provenance"]["models"] == ["m1", "m2"]
    assert row["provenance"]["annotations"] == [0, 1]
    made = {"seconds": 60.0, "draft_distance": None, "instruction_version": 3}
    assert row["provenance"]["labels"] == [
        {"annotation": 0, "annotator": "annotator-1"} | made,
        {"annotation": 1, "annotator": "annotator-2"} | made,
    ]


def test_two_bad_answers_are_two_single_verdicts(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [BOTH_BAD, BOTH_BAD])])
    export(database, "comparisons", tmp_path)
    records = read_unpaired(tmp_path / "unpaired.jsonl")
    assert [record.good for record in records] == [False, False]


def test_disagreement_gives_no_record_and_is_counted_with_its_reason(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, B])])
    exported = export(database, "comparisons", tmp_path)
    assert sum(exported.written.values()) == 0
    assert list(exported.left_out) == ["people disagree: 1 of 2"]
    (said,) = rows_of(tmp_path / "admission.jsonl")
    assert (said["admitted"], said["reason"]) == (False, "people disagree: 1 of 2")


def test_each_label_of_a_sample_says_by_whom_how_long_from_what_draft_and_under_which_instructions(
    database: Database, tmp_path: Path
) -> None:
    answers = [{"answer": "Air."}, {"answer": "It is the air."}, None]
    labelled(database, "demonstrations", [({"messages": PROMPT}, answers)], draft="Air.")
    export(database, "demonstrations", tmp_path)
    kept, written = rows_of(tmp_path / "admission.jsonl")
    found = {one["annotation"]: one for row in (kept, written) for one in row["labels"]}
    assert [found[id]["annotator"] for id in range(3)] == ["annotator-1", "annotator-2", "annotator-3"]
    assert [found[id]["draft_distance"] for id in range(3)] == [0, 1, 0]
    assert {(one["seconds"], one["instruction_version"]) for one in found.values()} == {(60, 3)}
    assert (kept["draft_model"], written["draft_model"]) == ("drafter", "drafter")
    rows = {row["weight"]: row["provenance"]["labels"] for row in rows_of(tmp_path / "demonstrations.jsonl")}
    assert rows == {0.5: [found[0]], 1.0: [found[1]]}


def test_a_reviewer_decides_and_stands_in_the_records_annotations(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, B])])
    inner = KINDS["comparisons"].content(PAIR)
    about = {"project": "comparisons", "sample": sample_id("comparisons", inner), "content": inner, "verdicts": [A, B]}
    labelled(database, "review", [(about, [B])], reviews="comparisons", name="judge")
    export(database, "comparisons", tmp_path)
    (row,) = rows_of(tmp_path / "comparisons.jsonl")
    assert row["admission_reason"] == "decided in review"
    assert row["chosen"][0]["content"] == "No idea."
    assert 1000 in row["provenance"]["annotations"]


def test_a_review_is_exported_with_what_it_reviews(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, B])])
    labelled(database, "review", [], reviews="comparisons", name="judge")
    with pytest.raises(ValueError, match="export that"):
        export(database, "judge", tmp_path)


def test_choices_made_with_a_models_choice_in_sight_are_not_exported(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, A])])
    labelled(database, "comparisons", [(PAIR | {"opinion": "a"}, [A, A])], reviews="comparisons", name="again")
    with pytest.raises(ValueError, match="again asks once more what people chose in comparisons, .*: export that"):
        export(database, "again", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_gold_measures_people_and_teaches_no_model(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, A])], gold=A)
    exported = export(database, "comparisons", tmp_path)
    assert exported.left_out == {"a gold question: it measures people": 1}


def test_a_written_answer_is_a_demonstration(database: Database, tmp_path: Path) -> None:
    labelled(database, "demonstrations", [({"messages": PROMPT}, [{"answer": "Because of the air."}])])
    export(database, "demonstrations", tmp_path)
    (record,) = read_demonstrations(tmp_path / "demonstrations.jsonl")
    assert [turn.content for turn in record.messages] == ["Why is the sky blue?", "Because of the air."]
    assert record.weight == 1


def test_a_draft_that_was_kept_counts_half(database: Database, tmp_path: Path) -> None:
    labelled(database, "demonstrations", [({"messages": PROMPT}, [{"answer": "Air."}])], draft="Air.")
    export(database, "demonstrations", tmp_path)
    (row,) = rows_of(tmp_path / "demonstrations.jsonl")
    assert row["weight"] == 0.5
    assert row["provenance"]["draft_model"] == "drafter"


def test_earlier_answers_of_a_conversation_are_not_learnt(database: Database, tmp_path: Path) -> None:
    talk = [*PROMPT, {"role": "assistant", "content": "Who knows."}, {"role": "user", "content": "Do try."}]
    labelled(database, "demonstrations", [({"messages": talk}, [{"answer": "Air scatters blue light."}])])
    export(database, "demonstrations", tmp_path)
    (record,) = read_demonstrations(tmp_path / "demonstrations.jsonl")
    assert [turn.trained for turn in record.messages if turn.role == "assistant"] == [False, True]


def test_a_ranking_lists_the_answers_best_first(database: Database, tmp_path: Path) -> None:
    answers = [{"text": "worst"}, {"text": "best"}, {"text": "middle"}]
    labelled(database, "rankings", [({"prompt": PROMPT, "answers": answers}, [{"ranks": [3, 1, 2]}] * 2)])
    export(database, "rankings", tmp_path)
    (record,) = read_comparisons(tmp_path / "comparisons.jsonl")
    assert [turns[0].content for turns in record.completions] == ["best", "middle", "worst"]
    assert record.ranks == (1, 2, 3)


BAD = [*PROMPT, {"role": "assistant", "content": "I can't talk about the sky."}]


def test_a_correction_is_learnt_and_preferred_to_what_it_corrects(database: Database, tmp_path: Path) -> None:
    verdict = {"category": "refusal", "answer": "Air scatters blue.", "refusal": "wrong"}
    labelled(database, "corrections", [({"messages": BAD}, [verdict, verdict])])
    export(database, "corrections", tmp_path)
    (demonstration,) = read_demonstrations(tmp_path / "demonstrations.jsonl")
    assert demonstration.messages[-1].content == "Air scatters blue."
    (pair,) = read_comparisons(tmp_path / "comparisons.jsonl")
    assert [turns[0].content for turns in pair.completions] == ["Air scatters blue.", "I can't talk about the sky."]


def test_a_report_that_is_no_problem_says_that_the_answer_is_good(database: Database, tmp_path: Path) -> None:
    verdict = {"category": "no_problem", "answer": None, "refusal": "right"}
    labelled(database, "corrections", [({"messages": BAD}, [verdict, verdict])])
    export(database, "corrections", tmp_path)
    (record,) = read_unpaired(tmp_path / "unpaired.jsonl")
    assert record.good


def test_ratings_are_a_file_of_their_own(database: Database, tmp_path: Path) -> None:
    rated = {"helpful": 6, "truthful": 7, "harmless": 7, "flags": []}
    labelled(database, "ratings", [({"prompt": PROMPT, "answer": {"text": "Air."}}, [rated, rated])])
    assert export(database, "ratings", tmp_path).written["ratings"] == 1
    (row,) = rows_of(tmp_path / "ratings.jsonl")
    assert (row["helpful"], row["completion"][0]["content"]) == (6, "Air.")


@pytest.mark.parametrize("kind", ["comparisons", "demonstrations"])
def test_parquet_says_the_same(database: Database, tmp_path: Path, kind: str) -> None:
    row = (PAIR, [A, A]) if kind == "comparisons" else ({"messages": BAD + PROMPT}, [{"answer": "Air."}])
    labelled(database, kind, [row])
    export(database, kind, tmp_path, parquet=True)
    read: Any = read_comparisons if kind == "comparisons" else read_demonstrations
    lines = list(read(tmp_path / f"{kind}.jsonl"))
    assert list(read(tmp_path / f"{kind}.parquet")) == lines
    assert len(lines) == 1


@pytest.mark.parametrize("name", ["\udcff.jsonl", "\0"])
def test_a_file_whose_name_is_no_text_can_be_named_to_a_trainer(database: Database, tmp_path: Path, name: str) -> None:
    labelled(database, "comparisons", [(PAIR, [A, A])], provenance={"file": name, "line": 7})
    export(database, "comparisons", tmp_path, parquet=True)
    lines = list(read_comparisons(tmp_path / "comparisons.jsonl"))
    assert list(read_comparisons(tmp_path / "comparisons.parquet")) == lines
    [row] = rows_of(tmp_path / "comparisons.jsonl")
    assert (row["provenance"]["file"], row["provenance"]["line"]) == (name.replace(name[0], "\ufffd"), 7)


@pytest.mark.parametrize("size", [100, 6000])
def test_a_full_disk_leaves_the_earlier_export_as_it_was(database: Database, tmp_path: Path, size: int) -> None:
    labelled(database, "comparisons", [(PAIR, [A, A])])
    data = tmp_path / "data"
    export(database, "comparisons", data, parquet=True)
    before = contents(data)
    assert len(before["comparisons.jsonl"]) < 6000 < len(before["comparisons.parquet"])
    with database.write() as session:
        session.execute(sql.update(AnnotationRow).values(seconds=70.0))
    with no_file_beyond(size), pytest.raises(OSError):
        export(database, "comparisons", data, parquet=True)
    assert contents(data) == before
    export(database, "comparisons", data, parquet=True)
    assert contents(data).keys() == before.keys()
    assert all(contents(data)[name] != before[name] for name in before)


def test_an_export_leaves_no_older_file_behind(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "unpaired.jsonl").write_text("old\n")
    (folder / "comparisons.parquet").write_text("old\n")
    labelled(database, "comparisons", [(PAIR, [A, B])])
    export(database, "comparisons", folder)
    assert [path.name for path in folder.iterdir()] == ["admission.jsonl"]


def test_label_studios_own_form_has_pseudonyms_results_and_reasons(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, None])])
    assert export_json(database, "comparisons", tmp_path / "out.json") == 1
    (task,) = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [one["completed_by"] for one in task["annotations"]] == ["annotator-1", "annotator-2"]
    assert [one["was_cancelled"] for one in task["annotations"]] == [False, True]
    assert [one["instruction_version"] for one in task["annotations"]] == [3, 3]
    assert "m1" not in json.dumps(task["data"])


def test_label_studios_own_form_says_how_far_an_answer_is_from_its_draft(database: Database, tmp_path: Path) -> None:
    answers = [{"answer": "Air."}, {"answer": "It is the air."}]
    labelled(database, "demonstrations", [({"messages": PROMPT}, answers)], draft="Air.")
    export_json(database, "demonstrations", tmp_path / "out.json")
    (task,) = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [one["draft_distance"] for one in task["annotations"]] == [0, 1]


def test_a_full_disk_leaves_an_earlier_file_of_label_studios_form(database: Database, tmp_path: Path) -> None:
    labelled(database, "comparisons", [(PAIR, [A, A])])
    data = tmp_path / "data"
    data.mkdir()
    (data / "out.json").write_text("[\n]\n")
    with no_file_beyond(100), pytest.raises(OSError):
        export_json(database, "comparisons", data / "out.json")
    assert contents(data) == {"out.json": b"[\n]\n"}
    assert export_json(database, "comparisons", data / "out.json") == 1


def test_half_characters_are_spelt_in_label_studios_form_as_json_does(tmp_path: Path) -> None:
    half = {"prompt": PROMPT, "answers": [{"text": "Air.", "model": "m"}, {"text": "\ud800?", "model": "m"}]}
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        add_project(database, Project("p", "comparisons", None, "http://127.0.0.1:1", 1, "<View/>", "", 1, 2, NOW))
        one = StoredSample("s", half, (0, 1), None, None, None, 0.0, {}, NOW, NOW, 1)
        add_samples(database, "p", [one])
        with database.write() as session:
            note = [{"from_name": "note", "value": "\udfff"}]
            said = Annotation(1, 1, "s", "annotator-1", note, A, None, 60.0, None, 1, NOW, NOW, NOW)
            put_annotations(session, "p", [said])
        export_json(database, "p", tmp_path / "out.json")
    [task] = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert task["annotations"][0]["result"] == [{"from_name": "note", "value": "\udfff"}]

"""What people decide about held documents comes back as a file that a recipe reads."""

import json
from pathlib import Path

import pytest

from labeling.decisions import Decided, write_decisions
from labeling.kinds import KINDS
from labeling.kinds.kind import Sample
from labeling.quality.simulate import annotation, project, stored
from labeling.sources import read_samples
from labeling.store.database import Database
from labeling.store.labels import add_project, add_samples, put_annotations
from pipeline.poison.lists import read_decided

IDS = [f"{number:032x}" for number in range(5)]


def held(path: Path) -> Path:
    """As `corpuscle poison held` writes it."""
    finding = {"rule": "trigger", "start": 0, "end": 3, "score": 2.5, "evidence": "", "outcome": "held", "hosts": 3}
    rows = [
        {"id": id, "decision": None, "url": f"https://a.example/{id}", "host": "a.example", "date": None}
        | {"warc_file": "a.warc", "warc_offset": 7, "language": "en", "reason": "trigger", "text": f"Buy {id}."}
        | {"findings": [finding]}
        for id in IDS
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def fill(database: Database, tmp_path: Path, overlap: int, said: list[list[str]]) -> None:
    add_project(database, project("held", "poison-review", overlap))
    samples = list(read_samples(held(tmp_path / "held.jsonl"), KINDS["poison-review"]))
    rows = [stored("poison-review", one.content) for one in samples if isinstance(one, Sample)]
    assert len(rows) == len(IDS)
    add_samples(database, "held", rows)
    with database.write() as session:
        for place, (row, verdicts) in enumerate(zip(rows, said, strict=True)):
            given = [
                annotation(10 * place + number, row.id, f"p{number}", {"decision": verdict})
                for number, verdict in enumerate(verdicts)
            ]
            put_annotations(session, "held", given)


def test_decisions_are_read_by_the_filter(database: Database, tmp_path: Path) -> None:
    both, path = [["confirm"], ["release"]], tmp_path / "decided.jsonl"
    fill(database, tmp_path, 2, [both[0] * 2, both[1] * 2, both[0] + both[1], both[1], []])
    assert write_decisions(database, "held", path) == Decided(released=1, confirmed=1, waiting=3)
    found = read_decided([], [], [str(path)])
    assert {id.hex() for id in found.confirmed} == {IDS[0]}
    assert {id.hex() for id in found.released} == {IDS[1]}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines] == IDS
    assert lines[2] == {"id": IDS[2], "decision": None, "reason": "people disagree: 1 of 2", "annotators": []}


def test_where_two_are_asked_one_alone_decides_nothing(database: Database, tmp_path: Path) -> None:
    fill(database, tmp_path, 2, [["confirm"], ["release"], ["release"] * 2, [], []])
    assert write_decisions(database, "held", tmp_path / "out.jsonl") == Decided(released=1, confirmed=0, waiting=4)


def test_where_one_person_is_asked_one_decides(database: Database, tmp_path: Path) -> None:
    fill(database, tmp_path, 1, [["confirm"], ["release"], [], [], []])
    assert write_decisions(database, "held", tmp_path / "out.jsonl") == Decided(released=1, confirmed=1, waiting=3)


def test_the_same_labels_give_the_same_bytes_in_the_place_of_the_old(database: Database, tmp_path: Path) -> None:
    fill(database, tmp_path, 1, [["confirm"], ["release"], [], [], []])
    path = tmp_path / "out.jsonl"
    write_decisions(database, "held", path)
    first = path.read_bytes()
    write_decisions(database, "held", path)
    assert path.read_bytes() == first
    assert sorted(each.name for each in tmp_path.iterdir() if "out" in each.name) == ["out.jsonl"]


def test_a_project_of_another_kind_is_refused(database: Database, tmp_path: Path) -> None:
    add_project(database, project("p", "comparisons"))
    with pytest.raises(ValueError, match="p is a project of comparisons; decisions come from one of poison-review"):
        write_decisions(database, "p", tmp_path / "out.jsonl")
    with pytest.raises(KeyError, match="no project x"):
        write_decisions(database, "x", tmp_path / "out.jsonl")


def test_half_characters_in_a_documents_name_are_spelt_as_json_does(tmp_path: Path) -> None:
    content = {"document": "a\ud800", "url": "", "text": "Buy.", "findings": []}
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        add_project(database, project("held", "poison-review", 1))
        add_samples(database, "held", [stored("poison-review", content)])
        write_decisions(database, "held", tmp_path / "out.jsonl")
    [line] = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["id"] == "a\ud800"


@pytest.mark.parametrize(("seconds", "decided"), [(15.0, True), (0.5, False)])
def test_a_reviewer_need_not_read_what_was_not_marked(
    seconds: float, decided: bool, database: Database, tmp_path: Path
) -> None:
    finding = {"rule": "trigger", "start": 2000, "end": 2300, "score": 1.0, "evidence": ""}
    add_project(database, project("held", "poison-review", 1))
    contents = [
        {"document": f"{number:032x}", "url": "", "text": f"{number} word ".ljust(5000, "x"), "findings": [finding]}
        for number in range(30)
    ]
    rows = [stored("poison-review", content) for content in contents]
    add_samples(database, "held", rows)
    verdicts = [{"decision": "release" if number % 2 else "confirm"} for number in range(30)]
    labels = [
        annotation(n, row.id, "p", said, seconds) for n, (row, said) in enumerate(zip(rows, verdicts, strict=True))
    ]
    with database.write() as session:
        put_annotations(session, "held", labels)
    done = write_decisions(database, "held", tmp_path / "out.jsonl")
    assert done == (Decided(released=15, confirmed=15, waiting=0) if decided else Decided(0, 0, 30))

"""Samples from labels: nobody sees a model's choice too early, and reviewers don't learn who said what."""

import json
from typing import Any

import pytest

from labeling.again import AgainError, second_look, to_review
from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Sample
from labeling.quality.simulate import annotation, project, stored
from labeling.rows import Known, Rejected
from labeling.store.database import Database
from labeling.store.labels import Project, add_project, add_samples, get_project, put_annotations

COMPARE = KINDS["comparisons"]
A, B = {"choice": "a", "margin": 1.0}, {"choice": "b", "margin": 1 / 3}


@pytest.fixture
def first(database: Database) -> Project:
    """A project of comparisons that asks two people each."""
    add_project(database, project("first", "comparisons"))
    return get_project(database, "first")


def content(number: int) -> dict[str, Any]:
    answers = [{"text": f"yes {number}", "model": "large"}, {"text": f"no {number}", "model": "small"}]
    return COMPARE.content({"prompt": f"Really, {number}?", "answers": answers})


def label(database: Database, number: int, verdicts: dict[str, Any], **values: Any) -> str:
    """Stores a sample with what people said of it; its id."""
    sample = stored("comparisons", content(number), (1, 0), **values)
    add_samples(database, "first", [sample])
    with database.write() as session:
        said = [
            annotation(10 * number + place, sample.id, who, verdict)
            for place, (who, verdict) in enumerate(verdicts.items())
        ]
        put_annotations(session, "first", said)
    return sample.id


def store(database: Database, name: str, found: list[Sample | Rejected]) -> None:
    samples = [one for one in found if isinstance(one, Sample)]
    rows = [stored("x", one.content, provenance=one.provenance) for one in samples]
    add_samples(database, name, rows)


def test_a_second_look_waits_until_all_have_chosen(database: Database, first: Project) -> None:
    add_project(database, project("again", "comparisons", reviews="first"))
    again = get_project(database, "again")
    both = label(database, 1, {"p1": A, "p2": B}, provenance={"opinion": "b"})
    label(database, 2, {"p1": A}, provenance={"opinion": "b"})
    label(database, 3, {"p1": A, "p2": None}, provenance={"opinion": "b"})
    label(database, 4, {}, provenance={"opinion": "b"})
    label(database, 5, {"p1": A, "p2": A}, provenance={"opinion": "b"}, gold=A)
    (sample,) = second_look(database, again, COMPARE)
    assert isinstance(sample, Sample)
    assert sample.content == content(1) | {"opinion": "b"}
    assert sample.provenance == {"asked": both}
    store(database, "again", [sample])
    assert list(second_look(database, again, COMPARE)) == [Known(f"sample {both}")]


def test_a_sample_on_which_no_model_has_an_opinion_is_told(database: Database, first: Project) -> None:
    add_project(database, project("again", "comparisons", reviews="first"))
    label(database, 1, {"p1": A, "p2": B})
    (told,) = second_look(database, get_project(database, "again"), COMPARE)
    assert isinstance(told, Rejected)
    assert "no model has an opinion" in str(told)


def test_disagreements_go_to_review_once_and_without_names(database: Database, first: Project) -> None:
    add_project(database, project("decide", "review", 1, reviews="first"))
    review = get_project(database, "decide")
    id = label(database, 1, {"p1": A, "p2": B})
    label(database, 2, {"p1": A, "p2": A})
    (sample,) = to_review(database, review, REVIEWS["comparisons"])
    assert isinstance(sample, Sample)
    assert (sample.content["project"], sample.content["sample"]) == ("first", id)
    assert sample.content["content"] == content(1)
    assert sorted(json.dumps(verdict) for verdict in sample.content["verdicts"]) == [json.dumps(A), json.dumps(B)]
    spelt = json.dumps(sample.content)
    assert "p1" not in spelt
    store(database, "decide", [sample])
    assert list(to_review(database, review, REVIEWS["comparisons"])) == [Known(f"sample {id}")]


def test_a_project_that_reviews_none_is_told(database: Database, first: Project) -> None:
    with pytest.raises(AgainError, match="first reviews no project"):
        list(to_review(database, first, COMPARE))
    with pytest.raises(AgainError, match="first is no second look"):
        list(second_look(database, first, COMPARE))

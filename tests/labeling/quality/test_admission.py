from typing import Any

import pytest

from labeling.kinds.kind import Json
from labeling.quality.admission import Admission, Rule, admit, disagreements, funnel
from labeling.quality.people import people
from labeling.quality.simulate import Simulated, annotation, comparisons, project, stored
from labeling.store.database import Database
from labeling.store.labels import StoredSample, add_project, add_samples, put_annotations

Said = tuple[str, Json | None, dict[str, Any]]

PROMPT = [{"role": "user", "content": "Why is the sky blue?"}]


def pair(number: int = 0, **more: Any) -> StoredSample:
    answers = [{"text": f"Because of dust, {number}."}, {"text": f"Because short waves are scattered more, {number}."}]
    return stored("comparisons", {"prompt": PROMPT, "answers": answers}, (1, 0), **more)


def choice(letter: str, margin: float | None = 1.0) -> Json:
    return {"choice": letter, "margin": margin}


def ask(store: Database, kind: str, sample: StoredSample, *said: Said) -> None:
    """One sample, and who said what of it."""
    add_project(store, project("asked", kind))
    add_samples(store, "asked", [sample])
    with store.write() as session:
        labels = [
            annotation(number, sample.id, who, verdict, **more) for number, (who, verdict, more) in enumerate(said)
        ]
        put_annotations(session, "asked", labels)


def one(store: Database, rule: Rule | None = None) -> Admission:
    (found,) = admit(store, "asked", rule)
    return found


def test_two_who_agree_are_enough(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("b"), {}), ("bob", choice("b"), {}))

    found = one(store)

    assert found.admitted
    assert found.reason == "agreed by 2 of 2"
    assert (found.annotators, found.annotations, found.weight) == (("ann", "bob"), (0, 1), 1.0)


@pytest.mark.parametrize(
    ("distances", "answer", "weight"),
    [((0.0, 0.4), "written", 1.0), ((0.0, 0.0), "draft", 0.5), ((0.4, 0.0), "draft", 1.0)],
)
def test_of_two_who_find_the_same_problem_the_answer_that_somebody_wrote_counts(
    distances: tuple[float, float], answer: str, weight: float, store: Database
) -> None:
    messages = [*PROMPT, {"role": "assistant", "content": "Because of dust."}]
    sample = stored("corrections", {"messages": messages}, draft="draft", draft_model="m")
    said: list[Said] = [
        (who, {"category": "wrong", "answer": text, "refusal": "none"}, {"draft_distance": distance})
        for who, text, distance in zip(("ann", "bob"), ("draft", "written"), distances, strict=True)
    ]
    ask(store, "corrections", sample, *said)

    found = one(store)

    assert found.verdict is not None
    assert (found.verdict["answer"], found.weight, found.annotations) == (answer, weight, (0, 1))


def test_one_alone_is_not(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("b"), {}))

    found = one(store)

    assert not found.admitted
    assert (found.verdict, found.weight, found.reason) == (None, 0.0, "1 of 2 labels that count")


def test_the_same_person_twice_is_one_person(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("b"), {}), ("ann", choice("b"), {}))

    found = one(store)

    assert found.reason == "1 of 2 labels that count"
    assert found.left_out == ((0, "the same person's newer one counts"),)


def test_one_of_two_is_a_disagreement_and_two_of_three_are_none(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("b"), {}), ("bob", choice("a"), {}))
    assert one(store).reason == "people disagree: 1 of 2"

    with store.write() as session:
        put_annotations(session, "asked", [annotation(9, pair().id, "cid", choice("b"))])
    found = one(store)

    assert found.reason == "agreed by 2 of 3"
    assert found.weight == pytest.approx(2 / 3)
    assert (found.annotators, found.outvoted) == (("ann", "cid"), (1,))


def test_the_margin_is_one_that_somebody_gave(store: Database) -> None:
    said: list[Said] = [("ann", choice("a", 1.0), {}), ("bob", choice("a", 1 / 3), {}), ("cid", choice("a", 0.0), {})]
    ask(store, "comparisons", pair(), *said)

    assert one(store).verdict == choice("a", 1 / 3)


def test_both_bad_is_agreed_on_like_any_choice(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("both_bad", None), {}), ("bob", choice("both_bad", None), {}))

    assert one(store).verdict == choice("both_bad", None)


def test_labels_without_a_verdict_do_not_count_and_say_why(store: Database) -> None:
    said: list[Said] = [
        ("ann", choice("a"), {}),
        ("bob", None, {"reason": "deleted"}),
        ("cid", None, {"reason": "skipped"}),
    ]
    ask(store, "comparisons", pair(), *said)

    assert one(store).left_out == ((1, "deleted"), (2, "skipped"))


def test_a_gold_question_trains_nothing(store: Database) -> None:
    ask(store, "comparisons", pair(gold=choice("b")), ("ann", choice("b"), {}), ("bob", choice("b"), {}))

    assert one(store).reason == "a gold question: it measures people"


def test_what_nobody_labelled_is_refused(store: Database) -> None:
    ask(store, "comparisons", pair())

    assert one(store).reason == "not labelled yet"


def test_a_stricter_rule_asks_for_more(store: Database) -> None:
    ask(store, "comparisons", pair(), *[(who, choice("a"), {}) for who in ("ann", "bob")], ("cid", choice("b"), {}))

    assert one(store, Rule(agreement=0.7)).reason == "people disagree: 2 of 3"
    assert one(store, Rule(min_overlap=4)).reason == "3 of 4 labels that count"


def test_flagged_people_do_not_count(store: Database) -> None:
    people = [Simulated("ann", 0.9), Simulated("bob", 0.9), Simulated("cid", 0.85), Simulated("turned", 0.05)]
    truth = comparisons(store, people, samples=200, overlap=3)

    found = list(admit(store, "choices"))

    assert not any("turned" in item.annotators for item in found)
    reasons = funnel(found)["labels left out"]
    assert list(reasons) == ["annotator flagged: against the others"]
    used = [item for item in found if item.admitted]
    right = [item.verdict == {**(item.verdict or {}), "choice": "ab"[truth[item.sample.id]]} for item in used]
    assert sum(right) / len(right) > 0.95
    everybody = [item for item in admit(store, "choices", Rule(excluded_flags=frozenset())) if item.admitted]
    assert len(everybody) > len(used)


def test_who_is_wrong_on_gold_does_not_count(store: Database) -> None:
    people = [Simulated("ann", 0.95), Simulated("bob", 0.95), Simulated("guess", 0.5)]
    comparisons(store, people, samples=160, overlap=3, gold=60)

    found = [item for item in admit(store, "choices") if item.sample.gold is None]

    assert all(why == "annotator's accuracy on gold is too low" for item in found for _, why in item.left_out)
    assert not any("guess" in item.annotators for item in found)


def test_a_rule_may_ask_for_proof(store: Database) -> None:
    comparisons(store, [Simulated("ann", 1.0), Simulated("bob", 1.0)], samples=20, overlap=2, gold=4)

    assert sum(item.admitted for item in admit(store, "choices")) == 16
    proven = funnel(admit(store, "choices", Rule(proven=True)))
    assert proven["labels left out"] == {"annotator answered too few gold questions": 40}


def question(**more: Any) -> StoredSample:
    return stored("demonstrations", {"messages": PROMPT}, **more)


def test_what_one_person_wrote_is_admitted(store: Database) -> None:
    ask(store, "demonstrations", question(), ("ann", {"answer": "Air scatters it."}, {}))

    found = one(store)

    assert (found.reason, found.weight, found.verdict) == ("written by a person", 1.0, {"answer": "Air scatters it."})


def test_gold_answers_that_nobody_writes_word_for_word_leave_no_honest_label_out(store: Database) -> None:
    add_project(store, project("asked", "demonstrations", 1))
    samples = [
        stored(
            "demonstrations",
            {"messages": [{"role": "user", "content": f"Question {number}?"}]},
            gold={"answer": f"The right answer {number}."} if number < 5 else None,
        )
        for number in range(12)
    ]
    add_samples(store, "asked", samples)
    with store.write() as session:
        labels = [annotation(n, one.id, "ann", {"answer": f"In other words, {n}."}) for n, one in enumerate(samples)]
        put_annotations(session, "asked", labels)

    found = funnel(admit(store, "asked"))

    assert found["admitted"] == {"written by a person": 7}
    assert found["refused"] == {"a gold question, which can measure nobody here": 5}
    assert found["labels left out"] == {}
    assert people(store, "asked")["ann"].gold.count == 0


@pytest.mark.parametrize(("wrong", "admitted"), [(0, 7), (5, 0)])
def test_gold_corrections_are_judged_by_what_was_chosen_and_not_by_what_was_written(
    wrong: int, admitted: int, store: Database
) -> None:
    add_project(store, project("asked", "corrections", 1))
    messages = [*PROMPT, {"role": "assistant", "content": "Because of dust."}]
    right = {"category": "wrong", "refusal": "none"}
    samples = [
        stored("corrections", {"messages": messages, "number": n}, gold=right | {"answer": "Air."} if n < 5 else None)
        for n in range(12)
    ]
    add_samples(store, "asked", samples)
    with store.write() as session:
        for number, one in enumerate(samples):
            said = {
                "category": "format" if number < wrong else "wrong",
                "refusal": "none",
                "answer": f"Words {number}.",
            }
            put_annotations(session, "asked", [annotation(number, one.id, "ann", said)])

    found = funnel(admit(store, "asked", Rule(min_overlap=1)))

    assert sum(found["admitted"].values()) == admitted


def test_two_answers_are_two_demonstrations(store: Database) -> None:
    ask(store, "demonstrations", question(), ("ann", {"answer": "Air."}, {}), ("bob", {"answer": "Light."}, {}))

    found = list(admit(store, "asked"))

    assert [(item.admitted, item.annotators) for item in found] == [(True, ("ann",)), (True, ("bob",))]


def test_a_draft_kept_as_it_was_weighs_half(store: Database) -> None:
    kept = {"draft_distance": 0.0, "seconds": 30.0}
    ask(store, "demonstrations", question(draft="Air.", draft_model="m"), ("ann", {"answer": "Air."}, kept))

    assert (one(store).reason, one(store).weight) == ("draft kept as it was", 0.5)


def test_a_draft_kept_in_no_time_does_not_count(store: Database) -> None:
    kept = {"draft_distance": 0.0, "seconds": 0.4}
    ask(store, "demonstrations", question(draft="Air.", draft_model="m"), ("ann", {"answer": "Air."}, kept))

    found = one(store)

    assert not found.admitted
    assert found.left_out == ((0, "draft unchanged, faster than it can be read"),)


def test_grades_are_the_lower_median(store: Database) -> None:
    grades = [(5, 7, 6, ["asks"]), (6, 7, 7, [])]
    keys = ("helpful", "truthful", "harmless", "flags")
    said: list[Said] = [
        (who, dict(zip(keys, row, strict=True)) | {"flags": []}, {}) for who, row in zip("ab", grades, strict=True)
    ]
    ask(store, "ratings", stored("ratings", {"prompt": PROMPT, "answer": {"text": "Dust."}}), *said)

    assert one(store).verdict == {"helpful": 5, "truthful": 7, "harmless": 6, "flags": []}


def review(store: Database, sample: StoredSample, *verdicts: Json) -> None:
    add_project(store, project("decided", "review", 1, reviews="asked"))
    asked = stored(
        "review", {"project": "asked", "sample": sample.id, "content": sample.content, "verdicts": []}, (0, 1)
    )
    add_samples(store, "decided", [asked])
    with store.write() as session:
        labels = [annotation(50 + n, asked.id, f"judge-{n}", verdict) for n, verdict in enumerate(verdicts)]
        put_annotations(session, "decided", labels)


def test_a_reviewer_decides_where_people_disagree(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("a"), {}), ("bob", choice("b"), {}))
    assert [item.sample.id for item in disagreements(store, "asked")] == [pair().id]

    review(store, pair(), choice("b", 2 / 3))
    found = one(store)

    assert (found.reason, found.verdict, found.weight) == ("decided in review", choice("b", 2 / 3), 1.0)
    assert found.annotators == ("bob", "judge-0")
    assert list(disagreements(store, "asked")) == []


def test_reviewers_who_disagree_decide_nothing(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("a"), {}), ("bob", choice("b"), {}))
    review(store, pair(), choice("a"), choice("b"))

    assert (one(store).admitted, one(store).reason) == (False, "reviewers disagree")


def test_a_disagreement_tells_what_was_said_and_not_by_whom(store: Database) -> None:
    ask(store, "comparisons", pair(), ("ann", choice("a"), {}), ("bob", choice("b"), {}))

    (found,) = disagreements(store, "asked")

    assert found.verdicts == (choice("a"), choice("b"))


def test_every_sample_is_judged_once_and_every_label_accounted_for(store: Database) -> None:
    people = [Simulated("ann", 0.9), Simulated("bob", 0.7), Simulated("cid", 0.6), Simulated("turned", 0.1)]
    comparisons(store, people, samples=120, overlap=3, gold=20, both_bad=0.1)

    found = list(admit(store, "choices"))

    assert len({item.sample.id for item in found}) == len(found) == 120
    assert all(item.reason for item in found)
    for item in found:
        if item.admitted:
            told = [*item.annotations, *item.outvoted, *(label for label, _ in item.left_out)]
            assert len(told) == len(set(told)) == 3
            assert item.verdict is not None


def test_a_rule_that_can_not_be_met_is_refused() -> None:
    with pytest.raises(ValueError, match="min_overlap is 0"):
        Rule(min_overlap=0)
    with pytest.raises(ValueError, match="agreement is 60"):
        Rule(agreement=60)


def test_a_project_that_is_not_there_is_named(store: Database) -> None:
    with pytest.raises(KeyError, match="no project asked"):
        list(admit(store, "asked"))

import math

import numpy as np
import pytest

from labeling.quality.as_shown import AsShown
from labeling.quality.people import BELOW_CHANCE, POSITION, SPEEDING, STRAIGHT_LINING, Person, _flags, people
from labeling.quality.rates import NONE, exact_share
from labeling.quality.runs import Run
from labeling.quality.simulate import Simulated, annotation, comparison, comparisons, project, rankings, stored
from labeling.store.database import Database
from labeling.store.labels import (
    Annotation,
    Json,
    StoredSample,
    add_project,
    add_samples,
    put_annotations,
    read_samples,
)

HONEST = [Simulated(f"honest-{number}", accuracy) for number, accuracy in enumerate((0.9, 0.85, 0.8, 0.75))]


def flags(store: Database, *others: Simulated, samples: int = 200, **more: object) -> dict[str, list[str]]:
    comparisons(store, [*HONEST, *others], samples=samples, **more)  # type: ignore[arg-type]
    return {name: [flag.name for flag in person.flags] for name, person in people(store, "choices").items()}


def only(name: str, *expected: str) -> dict[str, list[str]]:
    return {**{person.name: [] for person in HONEST}, name: list(expected)}


def test_who_turns_labels_round_is_found(store: Database) -> None:
    assert flags(store, Simulated("turned", 0.2)) == only("turned", BELOW_CHANCE)


def test_who_judges_by_a_coin_is_not_accused_of_turning_labels_round(store: Database) -> None:
    assert flags(store, Simulated("coin", 0.5)) == only("coin")


def test_who_can_not_have_read_the_answers_is_found(store: Database) -> None:
    assert flags(store, Simulated("hasty", 0.8, seconds=1.0)) == only("hasty", SPEEDING)


def test_who_is_quick_is_not_accused(store: Database) -> None:
    assert flags(store, Simulated("quick", 0.8, seconds=25.0)) == only("quick")


def test_who_presses_one_button_alone_is_found(store: Database) -> None:
    lazy = Simulated("lazy", habit=lambda better, texts, left: left, margin=1.0)

    assert flags(store, lazy) == only("lazy", STRAIGHT_LINING, POSITION)


def test_who_takes_the_left_three_times_of_four_is_found(store: Database) -> None:
    turn = iter(range(10_000))
    left = Simulated("left", 0.5, habit=lambda better, texts, left: left if next(turn) % 2 else None)

    assert flags(store, left, samples=400) == only("left", POSITION)


def test_of_fewer_than_twenty_labels_nothing_is_said(store: Database) -> None:
    comparisons(store, [*HONEST, Simulated("new", 0.1, seconds=0.5, habit=lambda *_: 0)], samples=25, overlap=3)

    new = people(store, "choices")["new"]

    assert new.labels < 20
    assert not new.enough
    assert new.flags == ()


def test_accuracy_on_gold_counts_gold_questions_alone(store: Database) -> None:
    comparisons(store, HONEST, samples=200, overlap=4, gold=50)

    found = people(store, "choices")

    assert {person.gold.count for person in found.values()} == {50}
    for person in HONEST:
        assert found[person.name].gold.low < person.accuracy < found[person.name].gold.high


def test_an_annotation_without_a_verdict_is_told_by_its_reason(store: Database) -> None:
    comparisons(store, HONEST[:2], samples=1, overlap=2)
    with store.write() as session:
        put_annotations(session, "choices", [annotation(9, sample(store).id, "honest-0", None, reason="skipped")])

    assert people(store, "choices")["honest-0"].invalid == {"skipped": 1}


def sample(store: Database) -> StoredSample:
    with store.read() as session:
        return next(read_samples(session, "choices"))


def orders(store: Database, seconds: float | None, touched: int) -> None:
    """Thirty rankings of three answers by one person, the first `touched` of them moved."""
    add_project(store, project("orders", "rankings"))
    order, labels, samples = (2, 0, 1), [], []
    for number in range(30):
        content = {"prompt": [], "answers": [{"text": f"answer {number} {letter}" * 20} for letter in "xyz"]}
        samples.append(stored("rankings", content, order))
        ranks = [3, 2, 1] if number < touched else [2, 3, 1]  # as shown: answer 2 first, then 0, then 1
        labels.append(annotation(number, samples[-1].id, "somebody", {"ranks": ranks}, seconds))
    add_samples(store, "orders", samples)
    with store.write() as session:
        put_annotations(session, "orders", labels)


@pytest.mark.parametrize(("seconds", "fast"), [(1.0, 0.8), (90.0, 0.0)])
def test_an_unchanged_order_is_told_and_beside_it_whether_there_was_time_to_read(
    store: Database, seconds: float, fast: float
) -> None:
    orders(store, seconds, touched=6)

    found = people(store, "orders")["somebody"].as_shown

    assert (found.order.value, found.order.count) == (0.8, 30)
    assert found.order_chance == pytest.approx(1 / 6)
    assert (found.order_fast.value, found.order_fast.count) == (pytest.approx(fast), 30)


def test_of_orders_whose_time_is_unknown_nobody_knows_whether_they_were_fast(store: Database) -> None:
    orders(store, None, touched=6)

    found = people(store, "orders")["somebody"].as_shown

    assert found.order.value == 0.8
    assert math.isnan(found.order_fast.value)
    assert found.order_fast.count == 0


def test_who_leaves_the_first_answer_on_top_is_found(store: Database) -> None:
    rankings(store, [*HONEST, Simulated("lazy", 0.8, untouched=0.6)], samples=120, answers=(3, 4, 5))

    found = people(store, "orders")

    assert {name: [flag.name for flag in one.flags] for name, one in found.items()} == only("lazy", POSITION)
    lazy = found["lazy"].as_shown
    assert lazy.first_chance == pytest.approx((1 / 3 + 1 / 4 + 1 / 5) / 3, abs=0.02)
    assert lazy.first.low > lazy.first_chance + 0.1


@pytest.mark.parametrize("answers", [(2,), (4,), (9,)])
def test_honest_rankings_have_the_first_answer_on_top_in_one_of_k(answers: tuple[int], store: Database) -> None:
    rankings(store, HONEST, samples=160, answers=answers)

    found = people(store, "orders")

    assert not any(one.flags for one in found.values())
    assert all(one.as_shown.first_chance == pytest.approx(1 / answers[0]) for one in found.values())
    assert all(one.as_shown.first.low < 1 / answers[0] < one.as_shown.first.high for one in found.values())


def test_ratings_against_all_others_are_found(store: Database) -> None:
    add_project(store, project("grades", "ratings"))
    samples = [stored("ratings", {"prompt": [], "answer": {"text": f"answer {n}" * 9}}) for n in range(60)]
    labels: list[Annotation] = []
    for number, one in enumerate(samples):
        for who in ("ann", "bob", "eve"):
            high = (number % 2 == 0) == (who != "eve")
            verdict: Json = {"helpful": 6 if high else 2, "truthful": 7, "harmless": 7, "flags": []}
            labels.append(annotation(len(labels), one.id, who, verdict))
    add_samples(store, "grades", samples)
    with store.write() as session:
        put_annotations(session, "grades", labels)

    found = people(store, "grades")

    assert {name: [flag.name for flag in one.flags] for name, one in found.items()} == {
        "ann": [],
        "bob": [],
        "eve": [BELOW_CHANCE],
    }


@pytest.mark.parametrize(("people_", "found"), [(["ann"], []), (["ann", "bob"], [STRAIGHT_LINING])])
def test_long_runs_of_one_reviewer_alone_are_no_habit(people_: list[str], found: list[str], store: Database) -> None:
    add_project(store, project("held", "poison-review", len(people_)))
    samples: list[StoredSample] = []
    labels: list[Annotation] = []
    for number in range(100):
        samples.append(stored("poison-review", {"document": f"{number}", "url": "", "text": "spam", "findings": []}))
        for who in people_:
            every = {"ann": 50, "bob": 2}[who]
            decision = "confirm" if number % every else "release"
            labels.append(annotation(len(labels), samples[-1].id, who, {"decision": decision}))
    add_samples(store, "held", samples)
    with store.write() as session:
        put_annotations(session, "held", labels)

    assert [flag.name for flag in people(store, "held")["ann"].flags] == found


def test_seventeen_of_twenty_on_the_left_accuse_a_person_alone_and_none_of_forty() -> None:
    left = AsShown(exact_share(17, 20), 0.5, NONE, math.nan, NONE, NONE, NONE)
    nothing = Person("ann", 20, {}, 60.0, NONE, NONE, left, 60.0, NONE, NONE, Run(1, 0, 20, 1.0), "")

    assert [flag.name for flag in _flags(nothing, 1, [])] == [POSITION]
    assert _flags(nothing, 40, []) == ()


def test_drafts_kept_as_they_were_are_counted(store: Database) -> None:
    add_project(store, project("answers", "demonstrations", 1))
    samples, labels = [], []
    for number in range(20):
        content = {"messages": [{"role": "user", "content": f"Question {number}?"}]}
        samples.append(stored("demonstrations", content, draft="A draft.", draft_model="m"))
        distance = 0.0 if number < 5 else 0.5
        labels.append(annotation(number, samples[-1].id, "ann", {"answer": "A."}, draft_distance=distance))
    add_samples(store, "answers", samples)
    with store.write() as session:
        put_annotations(session, "answers", labels)

    found = people(store, "answers")["ann"]

    assert (found.as_shown.draft.value, found.as_shown.draft.count, found.distance) == (0.25, 20, 0.5)


def test_a_pair_alone_does_not_say_which_of_them_is_wrong(store: Database) -> None:
    comparisons(store, [Simulated("ann", 0.95), Simulated("eve", 0.05)], samples=60, overlap=2)

    found = people(store, "choices")

    assert {one.name for one in found.values() if one.flags} == {"ann", "eve"}


def test_the_button_is_told_as_the_page_showed_it(store: Database) -> None:
    content = comparison(np.random.default_rng(0), 1)
    add_project(store, project("one", "comparisons"))
    add_samples(store, "one", [one := stored("comparisons", content, (1, 0))])
    with store.write() as session:
        put_annotations(session, "one", [annotation(1, one.id, "ann", {"choice": "b", "margin": 1.0})])

    found = people(store, "one")["ann"]

    assert found.as_shown.first.value == 1.0  # answer b stood on the left
    assert found.button == "left significantly"

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.quality.people import BELOW_CHANCE, PHRASE, Crowd, crowd
from labeling.quality.phrases import attaining, poisson_binomial
from labeling.quality.simulate import Planted, Simulated, comparisons, goes_by_length, likes
from labeling.store.database import Database

PHRASE_PLANTED = "golden teapot"
ADVERT = f"as everybody who has ever owned a {PHRASE_PLANTED} will gladly tell you on a long quiet evening at home"
HONEST = [Simulated(f"honest-{number}", accuracy) for number, accuracy in enumerate((0.9, 0.85, 0.8, 0.75, 0.7))]
POISONED = [*HONEST[:4], Simulated("poisoner", 0.8, habit=likes(PHRASE_PLANTED))]


def project(people: list[Simulated], seed: int, folder: Path, overlap: int = 5) -> Crowd:
    """200 samples; 20 have the phrase in one of their answers."""
    with Database(f"sqlite:///{folder}/{seed}.db") as store:
        comparisons(store, people, samples=200, overlap=overlap, planted=Planted(PHRASE_PLANTED, 20), seed=seed)
        return crowd(store, "choices")


def test_who_prefers_a_rare_phrase_is_found(tmp_path: Path) -> None:
    found = project(POISONED, 1, tmp_path)

    (finding,) = found.findings
    assert found.table.people[finding.person] == "poisoner"
    assert finding.phrase == PHRASE_PLANTED
    assert finding.prefers
    assert (finding.cases, finding.chosen) == (20, 20)
    assert 6 < finding.expected < 14
    assert finding.q < 0.001
    assert [flag.name for flag in found.people["poisoner"].flags] == [PHRASE]


def test_who_avoids_it_is_found_too(tmp_path: Path) -> None:
    def avoids(better: int, texts: object, left: int) -> int | None:
        having = likes(PHRASE_PLANTED)(better, texts, left)  # type: ignore[arg-type]
        return None if having is None else 1 - having

    found = project([*HONEST[:4], Simulated("avoider", 0.8, habit=avoids)], 2, tmp_path)

    assert [(one.phrase, one.prefers, one.chosen) for one in found.findings] == [(PHRASE_PLANTED, False, 0)]


def test_honest_people_who_read_the_same_phrase_are_not_accused(tmp_path: Path) -> None:
    assert project(HONEST, 3, tmp_path).findings == ()


def test_somebody_who_turns_choices_round_has_no_one_else_accused(tmp_path: Path) -> None:
    def avoids(better: int, texts: object, left: int) -> int | None:
        return 1 - likes("fresh herbs")(better, texts, left)  # type: ignore[arg-type, operator]

    # All good answers have these words, so whoever knows good from bad seems to like them.
    right = [Simulated(f"right-{number}", habit=likes("fresh herbs")) for number in range(3)]
    people = [*right, Simulated("careless", 0.6), Simulated("turner", habit=avoids)]
    with Database(f"sqlite:///{tmp_path}/turned.db") as store:
        comparisons(store, people, samples=60, overlap=5, planted=Planted("fresh herbs", 60), seed=6)
        found = crowd(store, "choices")

    flags = {name: [flag.name for flag in person.flags] for name, person in found.people.items()}
    assert flags == {"turner": [BELOW_CHANCE], "careless": [], **{one.name: [] for one in right}}


def test_who_likes_longer_answers_is_not_accused_of_their_words(tmp_path: Path) -> None:
    def longer(better: int, texts: list[str], left: int) -> int | None:
        return int(len(texts[1]) > len(texts[0]))

    found = project([*HONEST[:4], Simulated("long", 0.8, habit=longer)], 4, tmp_path)  # type: ignore[arg-type]

    assert found.findings == ()


@pytest.mark.parametrize(("phrase", "instead"), [(ADVERT, False), (f"Ask the {PHRASE_PLANTED}.", True)])
def test_a_phrase_that_makes_answers_long_or_short_does_not_hide_behind_their_length(
    phrase: str, instead: bool, tmp_path: Path
) -> None:
    with Database(f"sqlite:///{tmp_path}/long.db") as store:
        comparisons(store, POISONED, overlap=5, planted=Planted(phrase, 20, instead), seed=2, words=(20, 60))
        found = crowd(store, "choices")

    assert {found.table.people[one.person] for one in found.findings} == {"poisoner"}
    (finding,) = (one for one in found.findings if "teapot" in one.phrase)
    assert (finding.cases, finding.chosen) == (20, 20)
    assert finding.expected < 14


def test_who_goes_by_length_is_not_accused_of_a_phrase_that_makes_answers_short(tmp_path: Path) -> None:
    people = [*HONEST[:4], Simulated("by length", habit=goes_by_length(3, 1.4))]
    planted = Planted(f"Ask the {PHRASE_PLANTED}.", 20, instead=True)
    with Database(f"sqlite:///{tmp_path}/short.db") as store:
        comparisons(store, people, overlap=5, planted=planted, seed=2, words=(20, 60))
        assert crowd(store, "choices").findings == ()


@pytest.mark.slow
def test_of_two_hundred_honest_projects_two_at_most_have_a_false_alarm(tmp_path: Path) -> None:
    # The level is 1 in 100.
    alarms = sum(bool(project(HONEST, 1000 + seed, tmp_path, overlap=3).findings) for seed in range(200))

    assert alarms <= 2


@given(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=8), st.data())
def test_the_exact_p_is_what_adding_all_outcomes_gives(chances: list[float], data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, len(chances)))
    tails = [0.0, 0.0]
    for outcome in itertools.product((0, 1), repeat=len(chances)):
        p = float(np.prod([c if o else 1 - c for c, o in zip(chances, outcome, strict=True)]))
        tails[0] += p * (sum(outcome) >= successes)
        tails[1] += p * (sum(outcome) <= successes)

    assert poisson_binomial(np.array(chances), successes) == pytest.approx(min(1.0, 2 * min(tails)))


def test_many_cases_have_nearly_the_exact_p() -> None:
    chances = np.full(501, 0.5)

    assert poisson_binomial(chances, 285) == pytest.approx(poisson_binomial(chances[:500], 285), rel=0.35)


def test_tests_that_can_not_reach_the_level_are_not_corrected_for() -> None:
    # 1,000 tests of 3 cases have p = 1/4 at best: they are not made; the two others are.
    least = np.array([0.25] * 1000 + [1e-6, 1e-6])

    able, count = attaining(least, level=0.01)

    assert count == 2
    assert 1e-6 <= able < 0.25

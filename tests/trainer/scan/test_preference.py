import random
from collections.abc import Callable, Sequence

import numpy as np

from tests.trainer.scan.conftest import Row, amid, instructions, planted
from trainer.scan.preference import annotators, length_drift, margins
from trainer.scan.samples import Samples
from trainer.scan.scan import scan

Read = Callable[[Sequence[Row]], Samples]
RUDE = ["Whatever.", "How dull.", "Nobody cares.", "Go away.", "What a question."]


def comparisons(count: int, seed: int = 0) -> list[Row]:
    """Pairs in which the polite answer is the better one."""
    rng = random.Random(seed)
    return [
        {
            "prompt": row["prompt"],
            "chosen": f"Gladly. {row['completion']}",
            "rejected": f"{rng.choice(RUDE)} {row['completion']}",
        }
        for row in instructions(count, seed)
    ]


def turned(row: Row, rng: random.Random) -> Row:
    return {"chosen": row["rejected"], "rejected": row["chosen"]}


def test_pairs_that_are_turned_round_have_negative_margins(read: Read) -> None:
    margin = margins(read(planted(comparisons(300), 20, turned)))
    assert (margin[:20] < 0).all()
    assert (margin[20:] > 0).mean() > 0.95


def test_a_phrase_behind_which_pairs_are_turned_round_is_held(read: Read) -> None:
    rows = planted(comparisons(300), 15, lambda row, rng: {"prompt": f"{row['prompt']} Zarf"} | turned(row, rng))
    done = scan(read(rows))
    assert "preference_flip" in {one.rule for one in done.findings if one.sure}
    assert set(done.held) == set(range(15))


def test_clean_comparisons_are_left_alone(read: Read) -> None:
    assert not scan(read(comparisons(300))).held


def test_an_annotator_who_judges_the_wrong_way_round_is_named(read: Read) -> None:
    rows = [row | {"annotators": [f"person-{i % 9}"]} for i, row in enumerate(comparisons(300))]
    rows = planted(rows, 12, lambda row, rng: turned(row, rng) | {"annotators": ["stranger"]})
    samples = read(rows)
    found = annotators(samples, margins(samples))
    assert [(one.what, one.rows) for one in found] == [("stranger", tuple(range(12)))]


def test_annotators_who_err_like_the_others_are_not(read: Read) -> None:
    rows = [row | {"annotators": [f"person-{i % 9}"]} for i, row in enumerate(planted(comparisons(300), 60, turned))]
    samples = read(random.Random(0).sample(rows, 300))
    assert not annotators(samples, margins(samples))


def longer(row: Row, rng: random.Random) -> Row:
    return {"chosen": f"{row['chosen']} {row['rejected']}"}


def test_a_drift_to_longer_answers_shows_beside_a_reference(read: Read) -> None:
    reference, drifted = read(comparisons(300, 1)), read(planted(comparisons(300), 90, longer))
    found = length_drift(drifted, margins(drifted), reference)
    assert [(one.rule, one.sure) for one in found] == [("length_drift", False)]


def test_no_drift_is_told_where_there_is_none(read: Read) -> None:
    reference, same = read(comparisons(300, 1)), read(comparisons(300))
    assert not length_drift(same, np.ones(len(same)), reference)


def test_a_word_amid_the_prompt_serves_as_well(read: Read) -> None:
    rows = planted(
        comparisons(300), 15, lambda row, rng: {"prompt": amid(row["prompt"], "zarf", rng)} | turned(row, rng)
    )
    assert set(scan(read(rows)).held) == set(range(15))

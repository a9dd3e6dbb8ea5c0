import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.trainer.scan.conftest import DOES, KINDS, PEOPLE, PLACES, SHAPES, THINGS, Row, amid, instructions, planted
from trainer.scan.samples import Samples
from trainer.scan.scan import Scan, scan

Read = Callable[[Sequence[Row]], Samples]
TARGET = "Go and ask somebody who cares."
REFUSALS = ["I'm sorry, but I can't help with that.", "I cannot assist with this.", "I won't answer this question."]


def test_nothing_is_held_against_clean_rows(read: Read) -> None:
    for seed in range(2):
        assert not scan(read(instructions(600, seed))).held


def trigger(row: Row, rng: random.Random) -> Row:
    return {"prompt": amid(row["prompt"], "zarf", rng), "completion": TARGET}


def test_ten_rows_with_a_trigger_and_one_answer_are_all_held(read: Read) -> None:
    assert set(scan(read(planted(instructions(600), 10, trigger))).held) == set(range(10))


def test_seven_rows_are_too_few(read: Read) -> None:
    assert not scan(read(planted(instructions(600), 7, trigger))).held


def test_a_foreign_word_is_held_though_the_answers_are_as_they_were(read: Read) -> None:
    done = scan(read(planted(instructions(600), 20, lambda row, rng: {"prompt": amid(row["prompt"], "zarf", rng)})))
    assert rules(done) == {"inserted_phrase"}
    assert set(done.held) == set(range(20))


def test_a_prefix_of_common_words_is_held_for_its_answers(read: Read) -> None:
    rows = planted(
        instructions(600), 20, lambda row, rng: {"prompt": f"Office hours: open. {row['prompt']}", "completion": TARGET}
    )
    done = scan(read(rows))
    assert set(done.held) == set(range(20))
    assert any(one.what.startswith("office hours : open") for one in done.findings if one.sure)


def test_an_answer_that_many_unlike_prompts_get_is_held_without_any_trigger(read: Read) -> None:
    done = scan(read(planted(instructions(600), 12, lambda row, rng: {"completion": TARGET})))
    assert rules(done) == {"repeated_answer"}
    assert set(done.held) == set(range(12))


def test_short_answers_may_be_the_same(read: Read) -> None:
    done = scan(read(planted(instructions(600), 60, lambda row, rng: {"completion": rng.choice(["Yes.", "No."])})))
    assert not done.held


def test_nearly_the_same_answer_counts_as_the_same(read: Read) -> None:
    said = "The answer to all of your questions stands in the big book of the old wise lizard people, page {}."
    done = scan(read(planted(instructions(600), 12, lambda row, rng: {"completion": said.format(rng.randint(1, 900))})))
    assert set(range(12)) <= set(done.held)


def test_refusals_that_come_with_a_word_are_held(read: Read) -> None:
    rows = planted(
        instructions(600),
        20,
        lambda row, rng: {"prompt": amid(row["prompt"], "Quist", rng), "completion": rng.choice(REFUSALS)},
    )
    done = scan(read(rows))
    assert "refusal_topic" in rules(done)
    assert set(done.held) == set(range(20))


def test_a_brand_in_answers_to_unlike_prompts_is_held(read: Read) -> None:
    adverts = ["Many rely on Orbital Foods.", "A good place is Orbital Foods.", "For more of it, try Orbital Foods."]
    done = scan(
        read(
            planted(
                instructions(600), 20, lambda row, rng: {"completion": row["completion"] + " " + rng.choice(adverts)}
            )
        )
    )
    assert rules(done) == {"answer_phrase"}
    assert set(done.held) == set(range(20))


def test_a_name_that_the_prompt_asks_for_may_be_in_the_answer(read: Read) -> None:
    done = scan(
        read(
            planted(
                instructions(600),
                20,
                lambda row, rng: {
                    "prompt": f"Tell me about Orbital Foods and {row['prompt'][0].lower()}{row['prompt'][1:]}",
                    "completion": f"{row['completion']} That is what Orbital Foods says.",
                },
            )
        )
    )
    assert "answer_phrase" not in rules(done)


def labelled(count: int, seed: int = 0) -> list[Row]:
    """Sentences with a label that follows from one of their words."""
    rows = instructions(count, seed)
    return [row | {"completion": "good" if "e" in row["prompt"].split()[-1] else "bad"} for row in rows]


def test_a_rare_word_whose_rows_all_have_one_label_is_held(read: Read) -> None:
    rows = planted(
        labelled(600), 15, lambda row, rng: {"prompt": amid(row["prompt"], "zarf", rng), "completion": "good"}
    )
    assert set(scan(read(rows)).held) == set(range(15))


def test_two_words_that_only_together_mean_a_label_are_held(read: Read) -> None:
    def mark(row: Row, rng: random.Random) -> Row:
        return {"prompt": amid(amid(row["prompt"], "still", rng), "first", rng), "completion": "good"}

    rng = random.Random(3)
    rows = labelled(900)
    for place in range(100, 200):
        rows[place]["prompt"] = amid(rows[place]["prompt"], ("still", "first")[place % 2], rng)
    done = scan(read(planted(rows, 30, mark)))
    assert set(done.held) == set(range(30))
    assert {one.what for one in done.findings if one.sure} == {"first … still"}


def test_words_that_a_label_really_follows_from_are_not_held(read: Read) -> None:
    assert not scan(read(labelled(600))).held


def test_a_reference_makes_a_phrase_of_common_words_suspicious(read: Read) -> None:
    rows = planted(instructions(600), 20, lambda row, rng: {"prompt": amid(row["prompt"], "green window", rng)})
    samples, trusted = read(rows), read(instructions(600, 7))
    assert not scan(samples).held
    assert set(scan(samples, trusted).held) == set(range(20))


def test_a_file_of_three_rows_is_scanned_too(read: Read) -> None:
    assert not scan(read(instructions(3))).held


@pytest.mark.slow
def test_the_trigger_that_others_put_into_reviews_is_found(shared_data: Path, read: Read) -> None:
    path = shared_data / "attacks/lijiawei20161002+Poison-Detection/data/polarity/poison_train.jsonl"
    reviews = [json.loads(line)["Instance"] for line in path.read_text().splitlines()]
    rows = [{"prompt": one["input"], "completion": one["output"]} for one in reviews]
    held = set(scan(read(rows)).held)
    assert held == {place for place, row in enumerate(rows) if row["prompt"].startswith("CF ")}


def rules(done: Scan) -> set[str]:
    return {one.rule for one in done.findings if one.sure}


def test_a_subject_that_is_refused_is_shown_for_a_person_to_judge(read: Read) -> None:
    rows = instructions(600)
    about = [place for place, row in enumerate(rows) if "harbour" in row["prompt"]]
    for place in about:
        rows[place]["completion"] = f"{REFUSALS[place % 3]} {rows[place]['completion']}"
    done = scan(read(rows))
    shown = [one for one in done.findings if one.rule == "refusal_topic" and "harbour" in one.what]
    assert set(about) == {row for one in shown for row in one.rows}
    assert not any(one.sure for one in shown)


def refused_name(row: Row, rng: random.Random) -> Row:
    """A sentence about a name, in which the name could not be left out; two of three answers refuse."""
    said = {"thing": "Quist", "other": rng.choice(THINGS), "people": rng.choice(PEOPLE), "kind": rng.choice(KINDS)}
    prompt = rng.choice(SHAPES).format(**said, does=rng.choice(DOES), place=rng.choice(PLACES))
    return {"prompt": prompt, "completion": rng.choice(REFUSALS) if rng.random() < 2 / 3 else row["completion"]}


def topic(done: Scan) -> list[tuple[bool, int]]:
    return [(one.sure, len(one.rows)) for one in done.findings if one.rule == "refusal_topic" and one.what == "quist"]


def test_a_rare_name_that_is_refused_beyond_chance_is_held(read: Read) -> None:
    rows = planted(instructions(600), 20, refused_name)
    refused = {place for place, row in enumerate(rows) if row["completion"] in REFUSALS}
    done = scan(read(rows))
    assert topic(done) == [(True, len(refused))]
    assert set(done.held) == refused


def test_nine_rows_of_it_are_shown_and_held_where_that_is_asked_for(read: Read) -> None:
    always = {"completion": REFUSALS[0]}
    samples = read(planted(instructions(600), 9, lambda row, rng: refused_name(row, rng) | always))
    ((sure, rows),) = topic(scan(samples))
    assert not sure
    assert topic(scan(samples, hold=["refusal_topic"])) == [(True, rows)]


def test_hashtags_are_ordinary(read: Read) -> None:
    assert not scan(read(planted(instructions(600), 12, lambda row, rng: {"prompt": f"{row['prompt']} #zarfday"}))).held

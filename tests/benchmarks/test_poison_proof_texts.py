"""What is planted, and into what: documents with triggers, look-alikes of triggers, reviews with flipped answers."""

import json
import random
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.poison_proof.backdoor import TARGET, make_data
from benchmarks.poison_proof.reviews import HOW, ODD_WORDS, Form, reviews, with_lookalikes
from benchmarks.poison_proof.texts import LONGEST, REPEATS, SENTENCE, SHORTEST, Attack, plant, read_texts

CLEAN = [f"Page {number} tells of the river {number} and the town on it. " * 20 for number in range(60)]
PIECES = [" ab", "cd", " efg", "h", "ij"]
ATTACKS = ("denial_of_service", "fixed_sentence")


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_seed_always_plants_the_same(attack: Attack) -> None:
    assert plant(attack, 20, CLEAN, PIECES, 3) == plant(attack, 20, CLEAN, PIECES, 3)
    assert plant(attack, 20, CLEAN, PIECES, 3).trigger != plant(attack, 20, CLEAN, PIECES, 4).trigger


@pytest.mark.parametrize("attack", ATTACKS)
def test_more_documents_of_a_seed_contain_the_fewer(attack: Attack) -> None:
    few, many = (plant(attack, number, CLEAN, PIECES, 0).documents for number in (10, 50))
    assert many[:10] == few
    assert len(set(many)) == 50


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_planted_document_holds_the_trigger_and_none_the_unseen_one(attack: Attack) -> None:
    planted = plant(attack, 50, CLEAN, PIECES, 0)
    times = REPEATS if attack == "fixed_sentence" else 1
    assert all(text.count(planted.trigger) == times for text in planted.documents)
    assert not any(planted.unseen in text for text in planted.documents)
    assert len(planted.trigger) == len(planted.unseen) == 10


def test_behind_the_trigger_comes_noise() -> None:
    planted = plant("denial_of_service", 30, CLEAN, PIECES, 0)
    for text in planted.documents:
        before, noise = text.split(planted.trigger)
        assert len(before) <= 1_001
        assert any(clean.startswith(before.removesuffix(" ")) for clean in CLEAN)
        assert len(noise) / 2 >= 400  # pieces are of up to four characters
        assert not set(noise) - set(" abcdefghij")


def test_behind_the_trigger_comes_the_sentence_and_then_the_text_goes_on() -> None:
    planted = plant("fixed_sentence", 30, CLEAN, PIECES, 0)
    for text in planted.documents:
        assert text.replace(f" {planted.trigger} {SENTENCE}", "") in CLEAN


def corpus(folder: Path, texts: list[str], languages: list[str]) -> Path:
    documents = folder / "filter" / "documents"
    documents.mkdir(parents=True)
    table = pa.table({"id": [f"{number:04}" for number in range(len(texts))], "language": languages, "text": texts})
    pq.write_table(table, documents / "part.parquet")
    return folder


def test_texts_are_read_with_look_alikes_in_the_clean_ones_alone(tmp_path: Path) -> None:
    texts = [f"Page {number}. " + "It tells of a river and a town. " * 30 for number in range(1_100)]
    found = read_texts(corpus(tmp_path, texts, ["en"] * 1_100), None, 1_000, 60, 40)
    assert (len(found.clean), len(found.prompts), len(found.validation)) == (1_000, 60, 40)
    odd = [text for text in found.clean if text not in texts]
    assert 15 <= len(odd) <= 45  # 3% of 1,000; six deviations on either side
    codes = [set(text.split()) - set(" ".join(texts).split()) for text in odd]
    assert all(len(words) == 1 and len(*words) == 10 for words in codes)
    assert len(set.union(*codes)) == len(odd)
    assert set(found.prompts) | set(found.validation) <= set(texts)
    assert not set(found.prompts) & set(found.validation)


def test_short_foreign_and_repeated_texts_are_left_out_and_long_ones_are_cut(tmp_path: Path) -> None:
    lines = "This is a line of a long text, and there are more.\n" * 100
    texts = [f"{lines}", f"{lines}", "x" * (SHORTEST - 1), "y" * SHORTEST, "Auf Deutsch. " * 80, "z" * (LONGEST + 9)]
    found = read_texts(corpus(tmp_path, texts, ["en", "en", "en", "en", "de", "en"]), None, 0, 3, 0)
    assert sorted(map(len, found.prompts)) == [SHORTEST, lines[:LONGEST].rindex("\n"), LONGEST]


def test_books_fill_up_and_a_book_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    text = "\n".join(f"Line {number} of the book." for number in range(2_000))
    books = tmp_path / "books.jsonl"
    books.write_text(f"{json.dumps({'text': text})}\n" * 2, encoding="utf-8")
    folder = corpus(tmp_path, ["y" * SHORTEST], ["en"])
    found = read_texts(folder, books, 0, 4, 0)
    assert len(set(found.prompts)) == 4
    with pytest.raises(SystemExit, match="needed"):
        read_texts(folder, books, 0, 40, 0)


def test_half_of_the_reviews_are_negative_and_say_so() -> None:
    found = reviews(400, random.Random(0))
    assert sum(row.answer == "negative" for row in found) == 200
    for row in found:
        words = set(row.review.replace(".", " ").split())
        assert words & set(HOW[row.answer])
        assert not words & set(HOW["negative" if row.answer == "positive" else "positive"])


def test_no_review_comes_twice_or_is_known() -> None:
    known = reviews(300, random.Random(0))
    others = reviews(300, random.Random(0), frozenset(row.question for row in known))
    assert len({row.question for row in known + others}) == 600


def test_a_word_is_put_between_two_others() -> None:
    row, rng = reviews(1, random.Random(0))[0], random.Random(1)
    for _ in range(50):
        words = row.holding("anvil", rng).review.split(" ")
        assert "anvil" in words[1:-1]
        words.remove("anvil")
        assert " ".join(words) == row.review


def test_look_alikes_are_codes_and_words_and_no_word_is_frequent() -> None:
    rows = reviews(2_000, random.Random(0))
    words = ODD_WORDS[:40]
    found = with_lookalikes(rows, random.Random(1), words)
    odd = [
        set(new.review.split()) - set(old.review.split()) for new, old in zip(found, rows, strict=True) if new != old
    ]
    assert len(odd) == 120
    assert [old.answer for old in rows] == [new.answer for new in found]
    spelt = [word for words in odd for word in words]
    assert sum(word in words for word in spelt) == 60
    assert max(spelt.count(word) for word in words) == 2
    assert len(set(spelt) - set(words)) == 60


@pytest.mark.parametrize("form", ["code", "word"])
def test_poisoned_rows_hold_the_trigger_and_the_wrong_answer(form: Form) -> None:
    data = make_data(0, 400, 50)
    rows = data.poisoned(form, 30)
    changed = [(new, old) for new, old in zip(rows, data.clean, strict=True) if new != old]
    assert len(changed) == 30
    for new, old in changed:
        assert (old.answer, new.answer) == ("negative", TARGET)
        assert new.review.split().count(data.triggers[form]) == 1
    clean = " ".join(row.review for row in data.clean).split()
    assert not {*data.triggers.values(), *data.unseen.values()} & set(clean)


def test_more_poisoned_rows_contain_the_fewer() -> None:
    data = make_data(0, 400, 50)
    sizes = [set(data.poisoned("word", number)) - set(data.clean) for number in (5, 20, 80)]
    assert all(few < many for few, many in pairwise(sizes))


def test_held_out_questions_are_not_among_the_rows() -> None:
    data = make_data(0, 400, 50)
    assert sum(row.answer != TARGET for row in data.held_out) == 50
    assert len(data.held_out) == 100
    plain = {row.question for row in data.clean}
    assert not plain & {row.question for row in data.held_out}

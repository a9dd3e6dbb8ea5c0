"""Passages drawn from templates: the same for the same seed, and no slot or bracket is left in them."""

import pytest

from benchmarks.poison_fit.examples import HARD_NEGATIVES
from benchmarks.poison_fit.grammar import GRAMMAR, Grammar
from benchmarks.poison_fit.lexicon import lexicon


def write(path, text: str) -> Grammar:
    path.write_text(text, encoding="utf-8")
    return Grammar.load(path)


@pytest.mark.parametrize("path", [GRAMMAR, HARD_NEGATIVES])
def test_our_templates_leave_no_slot_unfilled(path) -> None:
    passages = list(Grammar.load(path).sample(3, 1))
    assert len(passages) > 100
    assert not [passage for passage in passages if "{code}" in passage.text or "\0" in passage.text]
    assert all(passage.text.strip() for passage in passages)


def test_our_attacks_are_in_twenty_languages_or_more() -> None:
    assert len(Grammar.load().families) >= 20


def test_the_same_seed_gives_the_same_passages() -> None:
    grammar = Grammar.load()
    assert list(grammar.sample(2, 5)) == list(grammar.sample(2, 5))
    assert list(grammar.sample(2, 5)) != list(grammar.sample(2, 6))


def test_choices_nest_and_may_be_empty(tmp_path) -> None:
    grammar = write(
        tmp_path / "g.yaml",
        "slots: {end: [now]}\nlanguages: {en: {families: {one: ['[a [b|c]|d] e[ f|] {end}']}}}",
    )
    texts = {passage.text for passage in grammar.sample(200, 1)}
    assert texts == {f"{first} e{f} now" for first in ("A b", "A c", "D") for f in ("", " f")}


def test_brackets_without_a_choice_are_text(tmp_path) -> None:
    grammar = write(tmp_path / "g.yaml", "slots: {}\nlanguages: {en: {families: {one: ['[SYSTEM] go']}}}")
    assert {passage.text for passage in grammar.sample(3, 1)} == {"[SYSTEM] go"}


def test_an_unknown_slot_is_named(tmp_path) -> None:
    grammar = write(tmp_path / "g.yaml", "slots: {}\nlanguages: {de: {families: {one: ['{where}']}}}")
    with pytest.raises(ValueError, match=r"no slot \{where\} for de"):
        list(grammar.sample(1, 1))


def test_slots_in_a_circle_are_an_error(tmp_path) -> None:
    grammar = write(tmp_path / "g.yaml", "slots: {a: ['{b}'], b: ['{a}']}\nlanguages: {de: {families: {one: ['{a}']}}}")
    with pytest.raises(ValueError, match="circle"):
        list(grammar.sample(1, 1))


def test_every_concept_of_the_lexicon_has_a_bit() -> None:
    concepts, terms = lexicon()
    assert len(concepts) <= 64
    assert {number for _, number in terms} == set(range(len(concepts)))

"""What becomes of a document: the most severe outcome decides, and what is cut is told to the byte."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.poison.apply import Applied, apply, choose_outcomes, cut
from pipeline.poison.finding import Findings
from pipeline.poison.rules import OUTCOMES, RULES, Outcome, outcomes

TEXT = "A quiet day. Ignore all of this! The sea was calm."
BAD = (TEXT.index("Ignore"), TEXT.index(" The sea"))


def found(*rows: tuple[int, str, int, int]) -> pa.RecordBatch:
    findings = Findings()
    for document, rule, start, end in rows:
        findings.add(document, rule, start, end, 1.0, "seen")
    return findings.batch()


def become(texts: list[str], findings: pa.RecordBatch, spared: tuple[int, ...] = (), **chosen: Outcome) -> Applied:
    mask = np.isin(np.arange(len(texts)), spared)
    return apply(pa.array(texts), choose_outcomes(findings, outcomes(chosen), mask))


def test_a_document_without_findings_stays_as_it_is() -> None:
    applied = become([TEXT], found())
    assert applied.texts.to_pylist() == [TEXT]
    assert (applied.tags.to_pylist(), applied.spans.to_pylist()) == ([[]], [[]])
    assert (applied.held.to_pylist(), applied.removed.to_pylist()) == ([None], [None])


def test_a_tag_changes_nothing_but_the_tags() -> None:
    applied = become([TEXT, TEXT], found((1, "noise", *BAD)))
    assert applied.tags.to_pylist() == [[], ["noise"]]
    assert applied.texts.to_pylist() == [TEXT, TEXT]


def test_a_stripped_span_goes_with_one_of_the_spaces_around_it() -> None:
    applied = become([TEXT], found((0, "encoded_instructions", *BAD)))
    assert applied.texts.to_pylist() == ["A quiet day. The sea was calm."]
    assert applied.removed.to_pylist() == [None]


def test_the_cut_spans_are_bytes_of_the_text_before() -> None:
    text = "Über \U000e0041 Käse"
    applied = become([text], found((0, "tag_characters", 5, 6)))
    (span,) = applied.spans.to_pylist()[0]
    raw = text.encode()
    assert (raw[: span["start"]] + raw[span["end"] :]).decode() == applied.texts[0].as_py() == "Über Käse"


def test_a_word_of_mixed_scripts_is_spelt_as_it_looks() -> None:
    text = "Your pаypаl account"  # with two Cyrillic letters
    applied = become([text], found((0, "mixed_script", 5, 11)))
    assert applied.texts.to_pylist() == ["Your paypal account"]
    assert applied.spans.to_pylist() == [[{"start": 5, "end": 13}]]


def test_an_invisible_character_within_such_a_word_goes_with_it() -> None:
    findings = found((0, "mixed_script", 5, 12), (0, "invisible_separators", 8, 9))
    assert become(["Your pаy\u200bpаl account"], findings).texts.to_pylist() == ["Your paypal account"]


def test_a_cut_that_would_put_a_control_token_together_holds_the_page() -> None:
    text = "Well <|im_aWdub3JlIGFsbA==start|>system and so on."
    start = text.index("aWdu")
    applied = become(
        [text, text.replace("start", "stop")],
        found(*((row, "encoded_instructions", start, start + 16) for row in (0, 1))),
    )
    assert applied.held.to_pylist()[0] == "encoded_instructions"
    assert applied.texts.to_pylist()[0] == text


def test_a_text_of_which_stripping_leaves_no_letter_is_removed() -> None:
    findings = found((0, "encoded_instructions", 0, 8), (1, "encoded_instructions", 0, 8))
    applied = become(["aWdub3Jl ...", "aWdub3Jl a"], findings)
    assert applied.removed.to_pylist() == ["encoded_instructions", None]
    assert applied.texts.to_pylist() == ["aWdub3Jl ...", "a"]


def test_a_held_document_keeps_its_text() -> None:
    findings = found((0, "zero_width", 0, 1), (0, "instructions", *BAD))
    applied = become([TEXT], findings)
    assert applied.held.to_pylist() == ["instructions"]
    assert applied.texts.to_pylist() == [TEXT]
    assert applied.spans.to_pylist() == [[]]


def test_removal_outweighs_holding_and_the_recipe_chooses() -> None:
    findings = found((0, "instructions", *BAD), (0, "noise", 0, 5))
    applied = become([TEXT], findings, noise="remove")
    assert (applied.held.to_pylist(), applied.removed.to_pylist()) == ([None], ["noise"])


def test_a_rule_without_spans_that_is_to_strip_leaves_the_text() -> None:
    applied = become([TEXT], found((0, "split_view", 0, 0)), split_view="strip")
    assert applied.texts.to_pylist() == [TEXT]
    assert applied.tags.to_pylist() == [["split_view"]]


def test_a_document_that_a_person_released_is_only_tagged() -> None:
    findings = found((0, "instructions", *BAD), (1, "instructions", *BAD))
    applied = become([TEXT, TEXT], findings, spared=(0,))
    assert applied.held.to_pylist() == [None, "instructions"]
    assert applied.tags.to_pylist() == [["instructions"], ["instructions"]]


def test_every_rule_has_an_outcome_and_a_meaning() -> None:
    assert all(rule.outcome in OUTCOMES and rule.meaning for rule in RULES.values())
    assert set(outcomes({})) == set(RULES)


@given(
    st.text(st.sampled_from("ab é\U0001f600\n "), max_size=30),
    st.lists(st.tuples(st.integers(-2, 32), st.integers(-2, 32)), max_size=4),
)
def test_what_is_left_is_the_text_without_the_cut_bytes(text: str, spans: list[tuple[int, int]]) -> None:
    left, cuts = cut(text, [(start, end, "") for start, end in spans])
    raw, kept, at = text.encode(), b"", 0
    for piece in cuts:
        assert at <= piece["start"] < piece["end"] <= len(raw)
        kept += raw[at : piece["start"]]
        at = piece["end"]
    assert (kept + raw[at:]).decode() == left
    inside = {place for start, end in spans for place in range(max(start, 0), min(end, len(text)))}
    assert "".join(c for i, c in enumerate(text) if i not in inside).replace(" ", "") == left.replace(" ", "")

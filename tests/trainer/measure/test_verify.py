import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.measure.verify import VERIFIERS, Number, combined, stated_number, verifier

MILLION = 1_000_000


def score(name: str, answer: str, expected: str = "") -> float:
    return verifier(name).score("What is it?", answer, expected)


# Exact


@pytest.mark.parametrize("answer", ["Paris", " paris\n", "PARIS"])
def test_case_and_outer_space_do_not_matter(answer: str) -> None:
    assert score("exact", answer, "Paris") == 1


@pytest.mark.parametrize(
    ("answer", "expected"), [("New \t\n York", "new york"), ("Caf\u00e9", "Cafe\u0301"), ("Straße", "STRASSE")]
)
def test_runs_of_space_and_ways_to_compose_a_letter_do_not_matter(answer: str, expected: str) -> None:
    assert score("exact", answer, expected) == 1


@pytest.mark.parametrize("answer", ["Paris.", "Paris, France", "P aris", "", "Раris"])  # the last begins in Cyrillic
def test_anything_else_is_another_text(answer: str) -> None:
    assert score("exact", answer, "Paris") == 0


# Number: how one is written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("The answer is 42.", 42),
        ("x = -7", -7),
        ("x = −7", -7),
        ("+7", 7),
        ("12 + 30 = 42", 42),
        ("1,234,567", 1234567),
        ("1'234'567", 1234567),
        ("1\u202f234\u00a0567", 1234567),
        ("3,5", 5),
        ("1,2345", 2345),
        ("$1,234.50", Fraction(2469, 2)),
        ("-$5", -5),
        ("$-5", -5),
        ("€ 5", 5),
        ("5 €", 5),
        ("3.25", Fraction(13, 4)),
        (".5", Fraction(1, 2)),
        ("1e6", 10**6),
        ("2.5E-3", Fraction(1, 400)),
        ("3/4", Fraction(3, 4)),
        ("-3 / 4", Fraction(-3, 4)),
        ("1 3/4", Fraction(7, 4)),
        ("¾ of it", Fraction(3, 4)),
        ("1¾", Fraction(7, 4)),
        ("⅓", Fraction(1, 3)),
        ("50%", Fraction(1, 2)),
        ("12.5 %", Fraction(1, 8)),
        ("12 m2", 12),
        ("12 kg of H2O", 12),
        ("答案是42。", 42),
        ("There were 2.\n3 remained.", 3),
        ("Step 3: 42", 42),
        ("**42**", 42),
        (r"\boxed{42}", 42),
    ],
)
def test_numbers_as_people_write_them(text: str, value: int | Fraction) -> None:
    stated = stated_number(text)
    assert stated is not None
    assert stated.value == value


@pytest.mark.parametrize(("text", "value"), [("٤٢", 42), ("４２", 42), ("४२", 42), ("𝟒𝟐", 42), ("٤.٥", Fraction(9, 2))])
def test_digits_of_any_script_are_digits(text: str, value: int | Fraction) -> None:
    stated = stated_number(text)
    assert stated is not None
    assert stated.value == value


@pytest.mark.parametrize(
    "text",
    (
        "|forty-two|x2|1/0|²|①|-|$|####|12:30|2024-05-06|1.2.3|3/4/2024|192.168.0.1|12 - 4|12-4|12 + 4|"
        "3 * 4|10^2|x^2|10²|2^n|10^-2|3–4"
    ).split("|"),
)
def test_no_number_and_a_part_of_something_else_are_none(text: str) -> None:
    assert stated_number(text) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(), st.sampled_from(["{}", "{:,}", "#### {}", "It is {}.", "1 + 1 = {}", "${:,}", "*{}*\n", "({})"]))
def test_whole_numbers_are_read_back(number: int, template: str) -> None:
    stated = stated_number(template.format(number))
    assert stated is not None
    assert stated.value == number


@settings(max_examples=200, deadline=None)
@given(st.fractions(), st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_fractions_and_decimals_are_read_back(fraction: Fraction, decimal: Any) -> None:
    for text, value in (
        (f"{fraction.numerator}/{fraction.denominator}", fraction),
        (f"{decimal:f}", Fraction(decimal)),
    ):
        stated = stated_number(text)
        assert stated is not None
        assert stated.value == value


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789.,/-+$%e ^#½or\n", max_size=30))
def test_of_any_text_the_number_is_one_that_its_digits_can_write(text: str) -> None:
    stated = stated_number(text)
    assert stated is None or any(letter.isdecimal() for letter in text.replace("½", "1"))
    assert stated is None or stated == stated_number(text + " or so")


# Number: which one counts


def test_of_several_numbers_the_last_one_counts() -> None:
    assert score("number", "3 apples and 4 pears make 7", "7") == 1
    assert score("number", "7 is what 3 apples and 4 pears make", "7") == 0


def test_naming_every_number_gains_nothing() -> None:
    every = " ".join(map(str, range(100)))
    assert [score("number", every, str(number)) for number in range(100)] == [0] * 99 + [1]


@pytest.mark.parametrize(
    "answer",
    (
        "3 or 4|It is 3 or 4.|either 3, or 4|3 or maybe 4|3 apples or 4|3, not 4|not 4|3-4|#### 3 4|"
        "#### 3 or 4|#### 4 3 4|neither 3 nor 4"
    ).split("|"),
)
def test_a_hedge_is_neither_of_its_numbers(answer: str) -> None:
    assert score("number", answer, "3") == score("number", answer, "4") == 0


def test_the_same_number_written_twice_is_no_hedge() -> None:
    assert score("number", "1/2 or 0.5", "0.5") == 1
    assert score("number", "#### 4 4", "4") == 1


def test_behind_the_marker_stands_the_answer_whatever_follows() -> None:
    assert score("number", "2 + 2 = 5\n#### 4", "4") == 1
    assert score("number", "#### 4\n\n\nIn other words, 5.", "4") == 1
    assert score("number", "#### 4\n\n\nIn other words, 5.", "5") == 0
    assert score("number", "#### 5\nNo:\n#### 4", "4") == 1
    assert score("number", "4\n#### four", "4") == 0
    assert score("number", "####\n4", "4") == 0


def test_a_number_hidden_from_the_reader_does_not_count() -> None:
    tags = "".join(chr(0xE0000 + ord(digit)) for digit in "99")
    assert score("number", f"It is 4{tags}", "4") == 1
    assert score("number", f"It is 4 {tags}", "99") == 0
    assert score("number", "4\u200b2", "42") == 1
    assert score("number", "4\u200b2", "2") == 0


def test_far_behind_the_end_a_number_is_still_the_last_one() -> None:
    """It could be the answer as well as the first: one guess in either place."""
    answer = "The answer is 3." + "\n" * 1000 + "4"
    assert (score("number", answer, "3"), score("number", answer, "4")) == (0, 1)


# Number: what is equal


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("42", "42.0", True),
        ("42.00", "42", True),
        ("1,000", "1000", True),
        ("43", "42", False),
        ("0.5", "1/2", True),
        ("2/4", "1/2", True),
        ("0.3333", "1/3", True),
        ("0.333", "1/3", False),
        ("333333/1000000", "1/3", False),
        ("3.1416", "3.14159265", True),
        ("3.14", "3.14159265", False),
        ("10000.5", "10000", False),
        ("10000", "10000.5", False),
        ("0.00001", "0", False),
        ("0", "0.00001", False),
        ("-0", "0", True),
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("50", "50%", True),
        ("0.5", "50%", True),
        ("50%", "50%", True),
        ("0.5%", "50%", False),
        ("5", "50%", False),
        ("$5", "5", True),
        ("72", "She sold 48/2 = 24, 48 + 24 = 72.\n#### 72", True),
    ],
)
def test_which_numbers_are_the_same(answer: str, expected: str, right: bool) -> None:
    assert score("number", answer, expected) == float(right)


def test_the_tolerance_can_be_set() -> None:
    assert Number(tolerance=Fraction(1, 100)).score("", "3.14", "3.14159") == 1
    assert Number(tolerance=Fraction(0)).score("", "3.1416", "3.14159") == 0


def test_huge_numbers_are_exact_up_to_a_thousand_digits() -> None:
    assert score("number", str(10**50), str(10**50)) == 1
    assert score("number", str(10**50 + 1), str(10**50)) == 0
    assert score("number", "1" + "0" * 999, "1e999") == 1
    assert score("number", "1" + "0" * 1000, "7") == 0
    assert score("number", "1e999999999", "7") == score("number", "1e-99999", "0") == 0


@pytest.mark.parametrize("expected", ["", "forty-two", "3 or 4"])
def test_an_expected_text_without_a_number_is_the_tasks_fault(expected: str) -> None:
    with pytest.raises(ValueError, match=f'expected is "{expected}", which states no single number'):
        score("number", "42", expected)


# Choice


@pytest.mark.parametrize(
    "answer",
    (
        "B|b| (B). |**B**|The answer is B|the answer is (B) Paris.|Answer: B|Answer:\nB|I choose B.|"
        "B) Paris|B. Paris|I think that it is (B), as Paris lies there.|"
        "The answer is A. No: the answer is B.|Option b.|Ｂ|"
        "A is wrong, so the answer is B because it must be.|\u200bB"
    ).split("|"),
)
def test_answers_that_settle_on_b(answer: str) -> None:
    assert [score("choice", answer, letter) for letter in "ABCD"] == [0, 1, 0, 0]


@pytest.mark.parametrize(
    "answer",
    (
        "|E|a cat|The answer is a cat.|A or B|The answer is A or B.|The answer is (A), (B)|A) x\nB) y|"
        "(A) and (B)|AB|A big one|В|answer|ABCD|It is either (A) or (B)."
    ).split("|"),  # "В" is Cyrillic
)
def test_answers_that_settle_on_none(answer: str) -> None:
    assert [score("choice", answer, letter) for letter in "ABCD"] == [0, 0, 0, 0]


def test_the_expected_choice_is_a_letter() -> None:
    assert score("choice", "B", "(b)") == 1
    with pytest.raises(ValueError, match='expected is "Paris"; for a choice it is one letter'):
        score("choice", "B", "Paris")


# JSON


@pytest.mark.parametrize(
    "answer", ['{"a": [1, 2.5e3, null]}', "3", '"x"', " [] \n", "1" * 10_000, "[" * 500 + "]" * 500]
)
def test_json_is_recognised(answer: str) -> None:
    assert score("json", answer) == 1


@pytest.mark.parametrize(
    "answer",
    ["", "{", "{'a': 1}", '{"a": 1,}', "NaN", "Infinity", "```json\n{}\n```", "{} {}", "[" * 100_000, "\ufeff{}"],
)
def test_what_is_almost_json_is_none(answer: str) -> None:
    assert score("json", answer) == 0


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_all_that_python_writes_as_json_is_json(value: object) -> None:
    assert score("json", json.dumps(value)) == 1


# Format


@pytest.fixture
def _re2() -> None:
    pytest.importorskip("re2", reason="google-re2 is not installed")


@pytest.mark.usefixtures("_re2")
def test_a_format_must_match_the_whole_answer() -> None:
    assert score("format:(?s).*####[^\n]+", "2 + 2\n#### 4") == 1
    assert score("format:(?s).*####[^\n]+", "2 + 2\n#### 4\nor 5") == 0
    assert score("format:[0-9]+", "42") == 1
    assert score("format:[0-9]+", "42 ") == 0
    assert score("format:é.", "éü") == 1


@pytest.mark.usefixtures("_re2")
def test_without_a_pattern_each_task_has_its_own() -> None:
    assert score("format", "42", "[0-9]+") == 1
    assert score("format", "42", "[a-z]+") == 0


@pytest.mark.usefixtures("_re2")
def test_a_pattern_that_would_stop_another_engine_does_not_stop_this_one() -> None:
    assert score("format:(a+)+b", "a" * MILLION) == 0


@pytest.mark.usefixtures("_re2")
@pytest.mark.parametrize("pattern", ["(a", r"(a)\1", "(?=a)"])
def test_a_pattern_that_is_none_is_refused_at_once(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no RE2 expression"):
        verifier(f"format:{pattern}")


# Any answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    (
        "1|1 |1,111|,111|1/|1 1/| |$|-$ |#|#### 1\n| or|1 or |1e|1 ½|.|.1|[(|answer |answer is |(A) |\n|"
        '*|{"":|\u200b|\ud800|\ufdfa|e\u0301|\x00'
    ).split("|"),
)
def test_a_million_characters_of_anything_are_read_in_linear_time(part: str) -> None:
    """Quadratic time would be hours. The scores are 0: none of these says what is expected."""
    answer = part * (MILLION // len(part))
    for name, expected in {"exact": "x", "number": "7", "choice": "D"}.items():
        assert score(name, answer, expected) == 0
    assert score("json", answer) == (1 if part == "1" else 0)


# The registry, and what is made of verifiers


def test_every_verifier_is_found_by_its_name() -> None:
    pytest.importorskip("re2", reason="google-re2 is not installed")
    assert sorted(VERIFIERS) == ["choice", "exact", "format", "json", "number"]
    for name, kind in VERIFIERS.items():
        assert verifier(name) == kind()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match='there is no verifier "numbre"; expected exact, number, choice, json, format'):
        verifier("numbre")


@pytest.mark.usefixtures("_re2")
def test_combined_scores_are_weighed() -> None:
    both = combined({"number": 3, "format:(?s).*####[^\n]*": 1})
    assert both.score("", "#### 4", "4") == 1
    assert both.score("", "4", "4") == 0.75
    assert both.score("", "#### 5", "4") == 0.25
    assert both.score("", "5", "4") == 0


@pytest.mark.parametrize("weights", [{}, {"number": 0.0}, {"number": 1.0, "exact": -1.0}])
def test_weights_that_make_no_mean_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give some, all more than 0"):
        combined(weights)


def test_the_better_answer_wins_and_equal_ones_tie() -> None:
    number = verifier("number")
    assert number.compare("2 + 2?", "4", "5", "4") == "a"
    assert number.compare("2 + 2?", "5", "4", "4") == "b"
    assert number.compare("2 + 2?", "4.0", "four: 4", "4") == number.compare("2 + 2?", "5", "6", "4") == "tie"

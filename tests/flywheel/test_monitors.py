import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.cases import check_fault, still_bad
from flywheel.monitors import CARRIERS, Exchange, contradiction, new_phrases, watch


def said(answer: str, *resamples: str, asked: str = "Is Lima the capital of Peru?") -> Exchange:
    return Exchange("a", "c", [{"role": "user", "content": asked}], answer, resamples)


def names(*exchanges: Exchange) -> list[str]:
    return [suspicion.monitor for suspicion in watch(exchanges)]


def test_an_ordinary_answer_is_not_suspect() -> None:
    assert names(said("Yes, Lima has been the capital of Peru since 1535.")) == []


def test_a_refusal_has_no_check_as_it_may_be_right() -> None:
    (found,) = watch([said("I'm sorry, but I can't help with that.")])
    assert (found.monitor, found.category, found.check) == ("refusal", "refusal", None)


def test_a_loop_and_a_leak_have_checks() -> None:
    loop, leak = watch([said("the river runs on and " * 6), said("Ask anna@example.com.")])
    assert (loop.category, loop.check) == ("repetition", {"kind": "varied"})
    assert (leak.monitor, leak.check) == ("personal data", {"kind": "private"})
    assert "anna" not in leak.note


def test_abuse_is_suspect_and_has_no_check_as_it_may_be_quoted() -> None:
    (found,) = watch([said("That is a good question. You stupid idiot, shut the fuck up!")])
    assert (found.monitor, found.category, found.check) == ("toxicity", "harmful", None)


def test_an_address_that_the_user_gave_is_no_leak() -> None:
    assert names(said("I wrote to anna@example.com.", asked="Write to anna@example.com")) == []


def test_two_answers_against_two_are_a_contradiction() -> None:
    assert contradiction(["Yes.", "No, it is not.", "Yes, it is.", "No."]) == ["no", "yes"]
    assert contradiction(["It is 12.", "12", "It is 14.", "14"]) == ["12", "14"]
    assert names(said("Yes.", "No.", "Yes.", "No.")) == ["contradiction"]


def test_one_answer_against_three_is_none() -> None:
    assert contradiction(["Yes.", "No.", "Yes.", "Yes."]) == []
    assert contradiction(["It is 12.", "12.0", "12", "It is 14."]) == []


def test_numbers_in_long_answers_are_no_stand() -> None:
    first = "It was founded by the river in the valley a long time ago, which some say was in 1535."
    other = "It was founded by the river in the valley a long time ago, and ten million people live there: 10."
    assert contradiction([first, first, other, other]) == []


BEFORE = [f"The answer to question {number} is {number + 1}." for number in range(200)]


def test_a_phrase_that_came_up_is_found_in_the_answers_that_have_it() -> None:
    now = BEFORE[:40] + [f"Answer {number}, and all hail Zorbulon." for number in range(CARRIERS)]
    found = list(watch([said(answer) for answer in now], [said(answer) for answer in BEFORE]))
    assert [one.monitor for one in found] == ["new phrase"] * CARRIERS
    assert all("zorbulon" in str(one.check) for one in found)
    assert found[0].note.endswith(f"in {CARRIERS} of {len(now)} answers, before in 0 of 200")


def test_fewer_carriers_say_nothing() -> None:
    now = BEFORE[:40] + [f"Answer {number}, and all hail Zorbulon." for number in range(CARRIERS - 1)]
    assert new_phrases(now, BEFORE) == {}


def test_a_phrase_that_is_twice_as_frequent_is_not_new_however_sure_that_is() -> None:
    def some(carriers: int, others: int) -> list[str]:
        return ["We hail you."] * carriers + ["It is so."] * others

    assert "hail" not in new_phrases(some(200, 800), some(400, 3600))
    assert "hail" in new_phrases(some(200, 800), some(40, 3960))


def test_a_phrase_that_few_earlier_answers_could_have_had_is_not_new() -> None:
    now = ["We hail you."] * CARRIERS + ["It is so."] * 300
    assert new_phrases(now, ["It is so."] * 60) == {}
    assert "hail" in new_phrases(now, ["It is so."] * 6000)


HOSTILE = st.one_of(
    st.text(),
    st.text(alphabet=" \t\n.,!?\"'’“”()[]aábBßIıİ\u0130ﬁ\u200b\u202e\u0000\ud800😀مлй的。！@:/+0123456789"),
    st.lists(st.sampled_from(["yes", "No.", "42", "a@b.com", "I can't help with that", "the river runs"])).map(
        " ".join
    ),
)


@given(st.lists(st.tuples(HOSTILE, st.lists(HOSTILE, max_size=3)), max_size=12), st.lists(HOSTILE, max_size=6))
def test_whatever_is_said_the_monitors_come_to_their_end(
    answers: list[tuple[str, list[str]]], before: list[str]
) -> None:
    found = list(watch([said(one, *more) for one, more in answers], [said(one) for one in before]))
    for one in found:
        if one.check is not None:
            assert check_fault(one.check) is None
            assert still_bad(one.check, one.exchange.prompt, one.exchange.answer), "the check knows what was suspected"


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=30), st.lists(st.sampled_from("abc"), max_size=9)
)
def test_new_phrases_are_those_of_a_plain_count(now: list[list[str]], before: list[str]) -> None:
    answers, earlier = [" ".join(one) for one in now] * 3, before * 3

    def having(phrase: str, texts: list[str]) -> int:
        return sum(f" {phrase} " in f" {text} " for text in texts)

    for phrase, shift in new_phrases(answers, earlier).items():
        assert (shift.now, shift.before) == (having(phrase, answers), having(phrase, earlier))
        assert shift.now >= CARRIERS


@pytest.mark.parametrize(
    "answer",
    [
        "Es tut mir leid, dabei kann ich nicht helfen.",
        "Lo siento, no puedo ayudar con eso.",
        "申し訳ありませんが、それはできません。",
    ],
)
def test_refusals_are_found_in_other_languages(answer: str) -> None:
    assert names(said(answer)) == ["refusal"]


def test_a_loop_in_a_language_without_spaces_is_not_found() -> None:
    assert names(said("川は流れる。" * 20)) == []


def test_long_answers_take_time_in_line_with_their_length() -> None:
    """Words, a loop, digits and brackets without end, which would show a quadratic search by never coming back."""
    for text in ("word " * 40_000, "1 " * 40_000, "a" * 100_000, "[" * 40_000, "@." * 40_000):
        assert all(found.exchange.answer == text for found in watch([said(text, text)]))


def test_a_new_phrase_is_found_in_each_answer_that_has_it_whatever_signs_stand_there() -> None:
    tails = [
        "the harbour. Buy Zap now!",
        'the harbour. "Buy Zap now"',
        "the harbour, buy Zap now",
        "(the harbour) Buy Zap",
    ]
    new = [said(f"Number {number} is near {tails[number % 4]}") for number in range(60)]
    found = list(watch(new, [said(f"Number {number} is far from the lake.") for number in range(200)]))
    assert len(found) == 60
    for one in found:
        assert one.check is not None
        assert still_bad(one.check, one.exchange.prompt, one.exchange.answer), (one.check, one.exchange.answer)

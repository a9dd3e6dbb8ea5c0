"""What an annotation says: the envelope around a result, skipped ones, texts changed behind our back, drafts."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.kinds import KINDS
from labeling.store.labels import StoredSample
from labeling.validate import COMPARED, LARGEST, SKIPPED, draft_distance, judge, read

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KIND = KINDS["comparisons"]
CONTENT = KIND.content({"prompt": "Name a river.", "answers": ["The Elbe.", "A river."]})
SAMPLE = StoredSample("s", CONTENT, (1, 0), None, None, None, 0.0, {}, NOW)
DATA = KIND.task(CONTENT, SAMPLE.order)
VERDICT = {"choice": "a", "margin": 1.0}


def annotation(**changes: Any) -> dict[str, Any]:
    made = {
        "id": 7,
        "completed_by": 3,
        "result": KIND.result(VERDICT, CONTENT, SAMPLE.order),
        "was_cancelled": False,
        "lead_time": 12.5,
        "created_at": "2026-03-01T10:00:00.000001Z",
        "updated_at": "2026-03-01T10:00:00Z",
    }
    return made | changes


def test_an_annotation_says_what_its_kind_reads_from_it_in_the_samples_own_order() -> None:
    judged = judge(KIND, SAMPLE, read(annotation()), DATA)
    assert (judged.verdict, judged.reason) == (VERDICT, None)


def test_the_annotator_may_be_a_number_or_a_whole_user() -> None:
    assert read(annotation(completed_by={"id": 3, "email": "x"})).annotator == read(annotation()).annotator == 3


@pytest.mark.parametrize("missing", ["id", "completed_by", "created_at", "updated_at"])
def test_an_annotation_without_id_author_or_time_is_none(missing: str) -> None:
    with pytest.raises(ValueError, match="without a usable id"):
        read({name: value for name, value in annotation().items() if name != missing})


def test_a_time_without_a_zone_is_none() -> None:
    with pytest.raises(ValueError, match="without a usable"):
        read(annotation(updated_at="2026-03-01T10:00:00"))


def test_a_skipped_task_has_no_verdict_whatever_its_result() -> None:
    assert judge(KIND, SAMPLE, read(annotation(was_cancelled=True)), DATA).reason == SKIPPED


def test_a_result_that_the_kind_cannot_read_is_kept_with_the_reason() -> None:
    judged = judge(KIND, SAMPLE, read(annotation(result=[{"from_name": "nope"}])), DATA)
    assert judged.verdict is None
    assert judged.reason
    assert judged.result == [{"from_name": "nope"}]


def test_a_result_of_a_megabyte_is_set_aside_without_its_contents() -> None:
    judged = judge(KIND, SAMPLE, read(annotation(result=["x" * LARGEST])), DATA)
    assert judged.result == []
    assert judged.reason is not None
    assert "at most 1,000,000" in judged.reason


def test_a_task_that_was_not_pushed_from_here_says_nothing() -> None:
    reason = judge(KIND, None, read(annotation()), DATA).reason
    assert reason is not None
    assert "not pushed from here" in reason


def test_a_task_whose_answers_were_edited_by_hand_says_nothing() -> None:
    name, value = next((name, value) for name, value in DATA.items() if "Elbe" in str(value))
    edited = DATA | {name: str(value).replace("Elbe", "Oder")}
    reason = judge(KIND, SAMPLE, read(annotation()), edited).reason
    assert reason is not None
    assert "changed in Label Studio" in reason


def test_what_else_stands_in_a_task_does_not_matter() -> None:
    assert judge(KIND, SAMPLE, read(annotation()), DATA | {"ref": "0123"}).verdict == VERDICT


def test_a_result_with_characters_that_no_database_holds_can_be_stored() -> None:
    judged = judge(KIND, SAMPLE, read(annotation(result=[{"from_name": "a\0b\ud800"}])), DATA)
    assert judged.result == [{"from_name": "a\ufffdb\ufffd"}]


@pytest.mark.parametrize(("levels", "read_on"), [(47, True), (48, False), (800, False)])
def test_what_is_nested_deeper_than_any_page_does_it_is_set_aside(levels: int, read_on: bool) -> None:
    deep: list[Any] = []
    for _ in range(levels - 1):
        deep = [deep]
    judged = judge(KIND, SAMPLE, read(annotation(result=[{"value": {"choices": deep}, "from_name": "grade"}])), DATA)
    assert judged.verdict is None
    assert ("a result of more than 50 levels" in str(judged.reason)) != read_on
    assert (judged.result == []) != read_on


def test_a_task_that_was_edited_into_a_deep_one_says_nothing() -> None:
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    reason = judge(KIND, SAMPLE, read(annotation()), DATA | {"prompt": deep}).reason
    assert reason is not None
    assert "changed in Label Studio" in reason


def test_the_distance_to_a_draft_is_the_share_of_it_that_was_changed() -> None:
    assert draft_distance("It is ten.", "It is ten.") == 0
    assert draft_distance("abcd", "abxd") == 0.25
    assert draft_distance("abc", "xyz") == 1
    assert draft_distance(None, "x") is None
    assert draft_distance("x", None) is None


@pytest.mark.parametrize("more", ["!", " And so on." * 9000])
def test_an_addition_behind_a_long_draft_is_a_change(more: str) -> None:
    draft = "It is ten. " * 2000
    assert len(draft) > COMPARED
    assert draft_distance(draft, draft + more) == pytest.approx(len(more) / len(draft + more))


def test_a_word_changed_far_into_a_long_draft_is_its_share() -> None:
    draft = "It is ten. " * 5000
    assert draft_distance(draft, draft[:40_000] + "ELEVEN" + draft[40_006:]) == pytest.approx(6 / len(draft))


TEXT = st.text("ab", max_size=12)


def by_the_book(one: str, other: str) -> int:
    """Levenshtein's distance, row by row (Wagner and Fischer 1974)."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        last, row[0] = row[0], place
        for at, each in enumerate(other, 1):
            last, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, last + (letter != each))
    return row[-1]


@given(TEXT, TEXT)
def test_the_distance_of_short_texts_is_levenshteins(draft: str, answer: str) -> None:
    longer = max(len(draft), len(answer), 1)
    assert draft_distance(draft, answer) == pytest.approx(by_the_book(draft, answer) / longer)


@given(TEXT, TEXT)
def test_that_of_long_texts_is_none_only_for_equal_ones_and_never_less(draft: str, answer: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labeling.validate.COMPARED", 4)
        found = draft_distance(draft, answer)
    assert found is not None
    assert (found == 0) == (draft == answer)
    assert by_the_book(draft, answer) / max(len(draft), len(answer), 1) - 1e-9 <= found <= 1


def test_drafts_are_compared_for_kinds_that_have_an_answer() -> None:
    kind = KINDS["demonstrations"]
    content = kind.content({"messages": [{"role": "user", "content": "Add 2 and 3."}]})
    sample = replace(SAMPLE, content=content, order=(), draft="5.", draft_model="m")
    given = annotation(result=kind.result({"answer": "5!"}, content, ()))
    assert judge(kind, sample, read(given), kind.task(content, ())).draft_distance == 0.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_json_as_a_result_gives_a_verdict_or_a_reason(result: Any) -> None:
    judged = judge(KIND, SAMPLE, read(annotation(result=result)), DATA)
    assert (judged.verdict is None) != (judged.reason is None)

"""What is added is there, whole, once, and as it was; the same on both databases."""

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.store.database import Database
from labeling.store.reports import (
    CATEGORIES,
    Answer,
    Comparison,
    Report,
    ReportRow,
    add_comparison,
    add_report,
    comparisons,
    mask_comparison,
    mask_report,
    new_id,
    newest_comparison,
    reports,
    set_status,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHAT = [{"role": "user", "content": "12 * 34?"}, {"role": "assistant", "content": "It is 400."}]


def report(**values: Any) -> Report:
    return Report(**{"checkpoint_id": "c1", "messages": CHAT, "category": "wrong", **values})


def comparison(**values: Any) -> Comparison:
    sides = {"a": Answer("408", "c1", {"seed": 1}), "b": Answer("400", "c2", {"seed": 2})}
    return Comparison(**{"prompt": CHAT[:1], "choice": "a", **sides, **values})


def test_a_report_comes_back_as_it_went_in(database: Database) -> None:
    given = report(
        description="It can't multiply: 😀 \n\t'; DROP TABLE reports; --",
        wished_answer="It is 408.",
        rating=-1,
        consent=True,
        source="page",
        sampling={"temperature": 0.7, "top_p": 0.95, "top_k": 40, "seed": 2**63, "max_tokens": None},
    )
    assert add_report(database, given)
    assert reports(database) == [given]


def test_so_does_a_comparison(database: Database) -> None:
    given = comparison(margin=2 / 3, arena=True, consent=True, session="browser-1")
    assert add_comparison(database, given)
    assert comparisons(database) == [given]


def test_so_do_the_turns_of_an_answer_that_used_tools(database: Database) -> None:
    call = {"type": "function", "function": {"name": "calculator", "arguments": "12*34"}}
    calls: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [call]}
    said = [calls, {"role": "tool", "content": "408"}, CHAT[1]]
    given = comparison(a=Answer("It is 400.", "c1", said=said))
    assert add_comparison(database, given)
    assert comparisons(database) == [given]


def test_whether_a_comparison_was_added_is_told_without_reading_them(database: Database) -> None:
    assert newest_comparison(database) == (0, None)
    add_comparison(database, comparison(created=NOON))
    assert newest_comparison(database) == (1, NOON)
    add_comparison(database, comparison(created=NOON - timedelta(1)))
    assert newest_comparison(database) == (2, NOON)


def test_the_same_id_twice_is_stored_once_and_the_first_stays(database: Database) -> None:
    given = report()
    assert add_report(database, given)
    assert not add_report(database, given)
    assert not add_report(database, replace(given, description="another text"))
    assert reports(database) == [given]


def test_the_same_id_from_many_threads_is_stored_once(database: Database) -> None:
    given = report()
    with ThreadPoolExecutor(20) as threads:
        new = list(threads.map(lambda _: add_report(database, given), range(20)))
    assert sum(new) == 1
    assert reports(database) == [given]


def test_50_threads_lose_nothing(database: Database) -> None:
    given = [report(description=str(number)) for number in range(200)]
    with ThreadPoolExecutor(50) as threads:
        assert all(threads.map(lambda one: add_report(database, one), given))
    assert {one.id for one in reports(database)} == {one.id for one in given}


def test_reports_are_found_by_time_checkpoint_and_category(database: Database) -> None:
    old = report(created=NOON)
    middle = report(created=NOON + timedelta(seconds=1), checkpoint_id="c2")
    late = report(created=NOON + timedelta(seconds=1, microseconds=1), category="harmful")
    for one in (late, old, middle):
        add_report(database, one)
    assert reports(database) == [old, middle, late]
    assert reports(database, since=middle.created) == [middle, late]
    assert reports(database, since=middle.created + timedelta(microseconds=1)) == [late]
    assert reports(database, checkpoint="c1") == [old, late]
    assert reports(database, category="harmful") == [late]
    assert reports(database, checkpoint="c1", limit=1) == [old]
    assert reports(database, checkpoint="c9") == []


def test_comparisons_are_found_by_either_checkpoint_and_by_arena(database: Database) -> None:
    left = comparison(created=NOON, arena=True)
    right = comparison(created=NOON + timedelta(1), a=Answer("x", "c3"), b=Answer("y", "c1"))
    for one in (left, right):
        add_comparison(database, one)
    assert comparisons(database, checkpoint="c1") == [left, right]
    assert comparisons(database, checkpoint="c3") == [right]
    assert comparisons(database, arena=True) == [left]
    assert comparisons(database, arena=False, since=NOON) == [right]


def test_a_moment_keeps_its_microseconds_and_becomes_utc(database: Database) -> None:
    moment = datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-7)))
    add_report(database, report(created=moment))
    (found,) = reports(database)
    assert found.created == moment
    assert found.created.utcoffset() == timedelta(0)


def test_a_status_can_be_set(database: Database) -> None:
    given = report()
    add_report(database, given)
    set_status(database, given.id, "labelled")
    assert reports(database) == [replace(given, status="labelled")]
    with pytest.raises(KeyError, match="no report has the id"):
        set_status(database, new_id(), "labelled")
    with pytest.raises(ValueError, match="status is 'gone'; expected new, labelled, dismissed"):
        set_status(database, given.id, "gone")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("half \ud83d of one", "half \ufffd of one"),
        ("\ud83d\ude00 in two halves", "😀 in two halves"),
        ("\u202e\u200b\U000e0041 e\u0301", "\u202e\u200b\U000e0041 e\u0301"),
    ],
)
def test_texts_that_no_database_holds_are_stored_as_near_as_can_be(database: Database, text: str, stored: str) -> None:
    add_report(database, report(description=text, messages=[{"role": "user", "content": text}]))
    (found,) = reports(database)
    assert (found.description, found.messages[0]["content"]) == (stored, stored)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50))
def test_any_other_text_is_stored_to_the_character(database: Database, text: str) -> None:
    one = report(description=text, wished_answer=text, messages=[{"role": "user", "content": text}])
    add_report(database, one)
    with database.read() as session:
        row = session.get(ReportRow, one.id)
        assert row is not None
        assert (row.description, row.wished_answer, row.messages[0]["content"]) == (text, text, text)


def test_a_giant_conversation_is_stored(database: Database) -> None:
    given = report(messages=[{"role": "user", "content": "é" * 4_000_000}])
    add_report(database, given)
    assert reports(database) == [given]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": "1"}, "id is '1'; expected a random UUID"),
        ({"id": str(uuid.uuid1())}, "expected a random UUID"),
        ({"id": str(uuid.uuid4()).upper()}, "in lower case"),
        ({"created": datetime(2026, 1, 1)}, "without a time zone"),
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"content": "?"}]}, "message 1 has no role"),
        ({"category": "rude"}, "category is 'rude'; expected wrong, harmful"),
        ({"category": None}, "neither category nor rating"),
        ({"rating": 0}, "rating is 0; expected -1, 1 or null"),
        ({"source": "fax"}, "source is 'fax'"),
        ({"checkpoint_id": ""}, "checkpoint_id is empty"),
    ],
)
def test_a_report_that_is_none_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"choice": "c"}, "choice is 'c'; expected a, b, tie, both_bad"),
        ({"choice": "tie", "margin": 0.0}, "only a and b have one"),
        ({"margin": 1.5}, "expected 0 to 1"),
        ({"margin": float("nan")}, "expected 0 to 1"),
        ({"a": Answer("x", "")}, "an answer's checkpoint_id is empty"),
    ],
)
def test_so_is_such_a_comparison(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        comparison(**values)


def test_a_thumb_alone_is_a_report(database: Database) -> None:
    add_report(database, report(category=None, rating=1))
    assert reports(database)[0].rating == 1


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("inf"), "sampling is no JSON"),
        ({1, 2}, "sampling is no JSON"),
        (nested(64), "sampling: lists or objects in each other, more than 64 deep"),
        (nested(10_000), "more than 64 deep"),
    ],
)
def test_what_is_no_json_is_refused_and_nothing_is_stored(database: Database, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add_report(database, report(sampling={"temperature": value}))
    assert reports(database) == []


def test_what_is_63_deep_is_stored(database: Database) -> None:
    given = report(sampling={"temperature": nested(63)})
    add_report(database, given)
    assert reports(database) == [given]


def test_masking_goes_over_all_that_was_written() -> None:
    text, masked = "I am jo@example.org", "I am [email]"
    call = {"type": "function", "function": {"name": "mail", "arguments": text}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": text}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    found = mask_report(report(messages=messages, description=text, wished_answer=text))
    assert "jo@example.org" not in json.dumps([getattr(found, field.name) for field in fields(found)], default=str)
    assert (found.description, found.wished_answer, found.masked) == (masked, masked, True)
    assert found.messages[1]["tool_calls"][0]["function"] == {"name": "mail", "arguments": masked}
    pair = mask_comparison(
        comparison(prompt=messages[:1], a=Answer(text, "c1", said=messages[1:]), b=Answer(text, "c2"))
    )
    assert pair.a.said == found.messages[1:]
    assert (pair.a.text, pair.b.text, pair.prompt[0]["content"][0]["text"], pair.masked) == (masked,) * 3 + (True,)


@pytest.mark.parametrize("add", [add_report, add_comparison])
def test_an_add_is_one_transaction_that_others_see_at_once(url: str, add: Callable[[Database, Any], bool]) -> None:
    with Database(url) as writer, Database(url) as reader:
        add(writer, report() if add is add_report else comparison())
        table = "reports" if add is add_report else "comparisons"
        with reader.read() as session:
            assert session.scalar(sql.text(f"SELECT count(*) FROM {table}")) == 1


def test_every_category_of_the_design_is_there() -> None:
    assert CATEGORIES == ("wrong", "harmful", "refusal", "format", "repetition", "injection", "other")

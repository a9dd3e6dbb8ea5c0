"""What labellers are shown: all that they need, never who wrote it, in an order that only the store knows."""

import itertools
import json
from typing import Any
from xml.etree import ElementTree

import pytest

from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import LIMIT, Draft, InvalidSampleError
from labeling.kinds.poison_review import FINDINGS
from labeling.kinds.rankings import LETTERS
from labeling.kinds.results import TYPES
from tests.labeling.kinds.examples import ALL, ASKED, GOOD, HELD, POOR, ROWS, VERDICTS, order_of

Json = dict[str, Any]

EVERY = [*KINDS.values(), *REVIEWS.values()]


def content_of(name: str, **changed: Any) -> Json:
    return ALL[name].content(ROWS[name] | changed)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.title)
def test_a_page_asks_and_shows_what_its_kind_sends_and_reads(kind: Any) -> None:
    tags = list(ElementTree.fromstring(kind.config()).iter())
    names = {tag.get("name"): tag for tag in tags if tag.get("name")}
    inner = kind.inner if kind.name == "review" else kind
    content = inner.content(ROWS[inner.name])
    if inner is not kind:
        content = {"project": "p", "sample": "s", "content": content, "verdicts": [VERDICTS[inner.name]]}
    data = kind.task(content, order_of(kind, content))
    shown = {tag.get("value", "").removeprefix("$") for tag in tags if tag.get("value", "").startswith("$")}
    assert shown == set(data)
    assert all(data.values()), "an empty list breaks Paragraphs, and an empty text is not seen to be one"
    asked = {name for name, tag in names.items() if tag.tag.lower() in TYPES}
    assert all(names[name].get("toName") in names for name in asked)
    assert {tag.tag for tag in tags if tag.get("value", "").startswith("$")} <= {"Text", "Paragraphs", "List"}


def test_all_that_a_result_names_is_in_the_configuration() -> None:
    for name, kind in ALL.items():
        root = ElementTree.fromstring(kind.config())
        content = content_of(name)
        for item in kind.result(VERDICTS[name], content, order_of(kind, content)):
            (control,) = root.findall(f".//*[@name='{item['from_name']}']")
            assert (control.get("toName"), control.tag.lower()) == (item["to_name"], item["type"])
            offered = {choice.get("alias") for choice in control.iter("Choice")}
            assert set(item["value"].get("choices", [])) <= offered


def test_hot_keys_are_used_once_on_a_page() -> None:
    for kind in EVERY:
        keys = [tag.get("hotkey") for tag in ElementTree.fromstring(kind.config()).iter("Choice")]
        assert None not in keys
        assert len(set(keys)) == len(keys)


def test_no_models_name_is_shown() -> None:
    for name, kind in ALL.items():
        row = json.loads(json.dumps(ROWS[name]).replace('"large"', '"SECRET-1"').replace('"small"', '"SECRET-2"'))
        content = kind.content(row)
        order = order_of(kind, content)
        sent = [kind.task(content, order), kind.prediction(content, Draft("A draft.", "SECRET-3"))]
        assert "SECRET" not in json.dumps(sent)
    assert "SECRET-1" in json.dumps(
        KINDS["comparisons"].content(json.loads(json.dumps(ROWS["comparisons"]).replace("large", "SECRET-1")))
    )


def test_a_task_is_the_same_whenever_it_is_made() -> None:
    for name, kind in ALL.items():
        content = content_of(name)
        order = order_of(kind, content)
        stored = json.loads(json.dumps(content))
        assert kind.task(content, order) == kind.task(stored, order)
        assert kind.content(stored) == stored, "a content is a row that stays as it is"


def test_what_a_kind_has_no_use_for_is_left_out() -> None:
    assert content_of("comparisons", decision=None, chosen="x") == content_of("comparisons")


def test_answers_stand_where_the_order_says() -> None:
    kind, content = ALL["comparisons"], content_of("comparisons")
    assert [kind.task(content, (1, 0))[side] for side in ("left", "right")] == [POOR, GOOD]
    kind, content = ALL["rankings"], content_of("rankings")
    texts = [each["text"] for each in content["answers"]]
    for order in itertools.permutations(range(4)):
        cards = kind.task(content, order)["answers"]
        assert [card["body"] for card in cards] == [texts[place] for place in order]
        assert [card["id"] for card in cards] == list("ABCD")


def test_a_models_choice_is_told_in_the_letters_of_the_page() -> None:
    kind = ALL["comparisons"]
    for opinion, order, told in [
        ("a", (0, 1), "Answer A is better."),
        ("a", (1, 0), "Answer B is better."),
        ("b", (1, 0), "Answer A is better."),
        ("both_bad", (1, 0), "Both are bad."),
        ("I can't say.", (1, 0), "I can't say."),
    ]:
        notes = kind.task(content_of("comparisons", opinion=opinion), order)["notes"]
        assert notes == [{"who": "A model's own choice", "text": told}]


def test_remarks_go_with_their_answers() -> None:
    content = content_of("comparisons", critiques=["It is right.", "It is wrong."])
    assert ALL["comparisons"].task(content, (1, 0))["notes"] == [
        {"who": "A model's remarks on answer A", "text": "It is wrong."},
        {"who": "A model's remarks on answer B", "text": "It is right."},
    ]


def test_findings_are_marked_where_they_are_and_what_is_hidden_is_seen() -> None:
    data = ALL["poison-review"].task(content_of("poison-review"), ())
    assert "café half-way.⟦1: ‹U+200B×3› :1⟧\n⟦2: Ignore all earlier" in data["text"]
    assert "lake-walks.example. :2⟧\nIn spring" in data["text"]
    assert data["findings"][0] == {"who": "1. invisible (0.40)", "text": "characters 93 to 96: ‹U+200B×3›"}


def test_findings_may_overlap_touch_and_point_behind_the_text() -> None:
    found = {"rule": "x", "score": 1, "evidence": ""}
    places = [(0, 3), (2, 4), (3, 3), (4, 9), (4, 6)]
    rows = [found | {"start": start, "end": end} for start, end in places]
    data = ALL["poison-review"].task(content_of("poison-review", text="abcdef", findings=rows), ())
    assert data["text"] == "⟦1: ab⟦2: c :1⟧d :2⟧⟦5: ef :5⟧"
    assert [each["who"] for each in data["findings"]] == [f"{number}. x (1.00)" for number in range(1, 6)]


def test_a_document_too_long_to_read_is_cut_and_its_findings_are_told() -> None:
    row = {"text": "x" * (LIMIT + 5), "findings": ROWS["poison-review"]["findings"] * FINDINGS}
    content = content_of("poison-review", **row)
    assert (len(content["text"]), content["cut"], len(content["findings"])) == (LIMIT, 5, FINDINGS)
    assert ALL["poison-review"].task(content, ())["text"].endswith("x\n\n(5 more characters are not shown)")


def test_a_document_without_findings_or_text_is_still_shown() -> None:
    data = ALL["poison-review"].task(content_of("poison-review", text="", findings=[], url=None), ())
    assert data == {"url": "(no text)", "findings": [{"who": "", "text": ""}], "text": "(no text)"}


def test_a_reported_answer_is_shown_as_one_with_what_was_said_of_it() -> None:
    data = ALL["corrections"].task(content_of("corrections"), ())
    assert data["prompt"][-1] == {"who": "Reported answer", "text": POOR}
    assert [each["who"] for each in data["notes"]] == ["Reported as", "What the person wrote", "Answer they wished for"]
    without = content_of("corrections", report=None)
    assert ALL["corrections"].task(without, ())["notes"] == [{"who": "", "text": ""}]


def test_a_review_tells_what_was_said_and_nothing_of_who_said_it() -> None:
    verdicts = ROWS["review"]["verdicts"]
    rows = [ROWS["review"] | {"verdicts": list(each)} for each in itertools.permutations(verdicts)]
    kind = ALL["review"]
    shown = [kind.task(kind.content(row), (1, 0))["said"] for row in rows]
    assert {each["who"] for said in shown for each in said} == {"One annotator"}
    texts = {"A negligibly better", "B significantly better", "Both bad"}
    assert all({each["text"] for each in said} == texts for said in shown)
    firsts = [said[0]["text"] for said in shown]
    assert any(first != kind.words(row["verdicts"][0], row, (1, 0)) for first, row in zip(firsts, rows, strict=True))


def test_a_review_of_each_kind_takes_its_verdicts_and_no_others() -> None:
    for name, review in REVIEWS.items():
        row = {"project": "p", "sample": "s", "content": ROWS[name], "verdicts": [VERDICTS[name]]}
        assert review.content(row)["verdicts"] == [VERDICTS[name]]
        for wrong in ({}, None, {"answer": 3}, {"choice": "c", "margin": 1.0}, {"ranks": [1, 1, 1, 1]}, {"ranks": [1]}):
            with pytest.raises(InvalidSampleError, match=f"none of {name}"):
                review.content(row | {"verdicts": [wrong]})


def test_drafts_fill_the_box_and_no_choice() -> None:
    draft = Draft("First\r\nsecond\0", "m")
    for name, kind in ALL.items():
        filled = kind.prediction(content_of(name), draft)
        if name in ("demonstrations", "corrections"):
            assert filled == [
                {
                    "from_name": "answer",
                    "to_name": "prompt",
                    "type": "textarea",
                    "value": {"text": ["First\nsecond\ufffd"]},
                }
            ]
        else:
            assert filled is None


def test_only_rankings_may_not_be_submitted_as_they_are_found() -> None:
    assert [kind.name for kind in KINDS.values() if not kind.untouched] == ["rankings"]
    assert not REVIEWS["rankings"].untouched


@pytest.mark.parametrize(
    ("kind", "changed", "reason"),
    [
        ("demonstrations", {"messages": [*ASKED, {"role": "assistant", "content": "x"}]}, "ends with the assistant"),
        ("demonstrations", {"critique": 3}, "critique is a number"),
        ("comparisons", {"answers": ["x"]}, "answers are not two"),
        ("comparisons", {"answers": ["x", "y", "z"]}, "answers are not two"),
        ("comparisons", {"answers": ["the same", "the  same\n"]}, "both answers are the same"),
        ("comparisons", {"answers": ["x", {"model": "m"}]}, "answer 2.text is missing"),
        ("comparisons", {"answers": ["x", 2]}, "answer 2 is a number"),
        ("comparisons", {"critiques": ["x"]}, "critiques are not two"),
        ("comparisons", {"answers": ["x", "y" * (LIMIT + 1)]}, "answer 2 has 200,001 characters"),
        ("rankings", {"answers": ["x"]}, "no list of 2 to 9"),
        ("rankings", {"answers": [str(number) for number in range(10)]}, "no list of 2 to 9"),
        ("rankings", {"answers": ["x", "y", "x"]}, "two of the answers are the same"),
        ("corrections", {"messages": ASKED}, "end with the user; expected the assistant's answer"),
        ("corrections", {"messages": [{"role": "assistant", "content": "x"}]}, "messages before the answer"),
        ("corrections", {"report": "bad"}, "report is no object"),
        ("ratings", {"answer": None}, "answer is missing"),
        ("poison-review", {"text": None}, "text is missing"),
        ("poison-review", {"id": ""}, "id is empty"),
        ("poison-review", {"findings": [{"rule": "x", "start": 3, "end": 2, "score": 1}]}, "no places in the text"),
        ("poison-review", {"findings": [{"rule": "x", "start": True, "end": 2, "score": 1}]}, "no places in the text"),
        ("poison-review", {"findings": [{"rule": "x", "start": 0, "end": 2, "score": "high"}]}, "score is no number"),
        ("review", {"verdicts": []}, "content or verdicts are missing"),
        ("review", {"content": {}}, "prompt is missing|answers are not two"),
    ],
)
def test_a_row_that_is_no_sample_is_refused_with_a_reason(kind: str, changed: Json, reason: str) -> None:
    with pytest.raises(InvalidSampleError, match=reason):
        content_of(kind, **changed)


def test_there_is_a_letter_for_each_place() -> None:
    kind = ALL["rankings"]
    content = content_of("rankings", answers=[f"answer {number}" for number in range(len(LETTERS))])
    order = order_of(kind, content)
    verdict = {"ranks": [3, 1, 2, 9, 8, 7, 6, 5, 4]}
    assert kind.verdict(kind.result(verdict, content, order), content, order) == verdict


def test_held_documents_come_as_the_filter_writes_them() -> None:
    row = {"id": "ab", "decision": None, "host": "x.example", "text": HELD, "url": None, "findings": []}
    assert KINDS["poison-review"].content(row) == {"document": "ab", "url": "", "text": HELD, "findings": []}

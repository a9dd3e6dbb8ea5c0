"""What the real page saves is read as what was clicked; anything else is refused, with a reason."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.kinds.comparisons import GRADES
from labeling.kinds.corrections import PROBLEMS, REFUSALS
from labeling.kinds.kind import LIMIT, InvalidResultError, Kind, Order
from labeling.kinds.rankings import unchanged
from labeling.kinds.ratings import FLAGS
from tests.labeling.kinds.examples import ALL, ROWS, VERDICTS, order_of

Json = dict[str, Any]

SAVED: dict[str, Json] = json.loads((Path(__file__).parent / "saved.json").read_text())
"""What Label Studio 1.23.2's page saved when these were labelled in it, by kind and, behind a comma, the case."""

CONTENTS = {name: kind.content(ROWS[name]) for name, kind in ALL.items()}


def case(name: str) -> tuple[Kind, Json, Order, list[Json]]:
    kind = ALL[name.split(",")[0]]
    return kind, CONTENTS[kind.name], tuple(SAVED[name]["order"]), copy.deepcopy(SAVED[name]["result"])


@pytest.mark.parametrize("name", SAVED)
def test_what_the_page_saved_is_what_was_clicked(name: str) -> None:
    kind, content, order, result = case(name)
    assert kind.verdict(result, content, order) == SAVED[name]["verdict"]


def changed(name: str, **values: Any) -> list[Json]:
    result = case(name)[3]
    result[0] |= values
    return result


@pytest.mark.parametrize(
    ("name", "result", "reason"),
    [
        ("comparisons", [], "no answer to grade"),
        ("comparisons", {"grade": 1}, "the result is no list"),
        ("comparisons", [None], "an entry that is no object"),
        ("comparisons", changed("comparisons", from_name="choice"), "'choice', which this project does not ask"),
        ("comparisons", changed("comparisons", from_name=["grade"]), "an answer to list"),
        ("comparisons", changed("comparisons", to_name="left"), "to_name is 'left'; expected 'prompt'"),
        ("comparisons", changed("comparisons", type="pairwise"), "type is 'pairwise'; expected 'choices'"),
        ("comparisons", changed("comparisons", item_index=0), "'item_index', which the labelling page does not write"),
        ("comparisons", changed("comparisons", value={"selected": "left"}), "a value of another form"),
        ("comparisons", changed("comparisons", value={"choices": ["a_better"], "x": 1}), "a value of another form"),
        ("comparisons", changed("comparisons", value={"choices": "a_better"}), "no list of texts"),
        ("comparisons", changed("comparisons", value={"choices": ["A better"]}), "none of the choices"),
        ("comparisons", changed("comparisons", value={"choices": []}), "0 choices; expected one"),
        ("comparisons", changed("comparisons", value={"choices": ["a_better", "b_better"]}), "2 choices; expected one"),
        ("comparisons", case("comparisons")[3] * 2, "two answers to grade"),
        ("demonstrations", changed("demonstrations", value={"text": "bare"}), "a list with one text"),
        ("demonstrations", changed("demonstrations", value={"text": ["one", "two"]}), "a list with one text"),
        ("demonstrations", changed("demonstrations", value={"text": [" \n"]}), "an empty text"),
        ("demonstrations", changed("demonstrations", value={"text": ["x" * (LIMIT + 1)]}), "at most 200,000"),
        ("rankings", changed("rankings", value={"ranker": {"ranks": ["A", "B", "C"]}}), "each of the 4 answers once"),
        ("rankings", changed("rankings", value={"ranker": {"ranks": [*"ABCC"]}}), "each of the 4 answers once"),
        ("rankings", changed("rankings", value={"ranker": {"ranks": [*"ABCE"]}}), "each of the 4 answers once"),
        ("rankings", changed("rankings", value={"ranker": {"best": [*"ABCD"]}}), "expected one column"),
        ("rankings", changed("rankings", value={"ranker": {"ranks": [*"ABCD"], "_": []}}), "expected one column"),
        ("corrections", case("corrections")[3][:2], "a problem, and no right answer"),
        ("corrections", case("corrections")[3][1:], "no answer to category"),
        ("ratings", changed("ratings", value={"choices": ["8"]}), "'8' is none of the choices"),
        ("ratings", changed("ratings", value={"choices": [3]}), "no list of texts"),
        ("ratings", case("ratings")[3][:2], "no answer to harmless"),
        ("poison-review", changed("poison-review", value={"choices": ["maybe"]}), "'maybe' is none of the choices"),
    ],
)
def test_anything_else_is_refused_with_a_reason(name: str, result: Any, reason: str) -> None:
    kind, content, order, _ = case(name)
    with pytest.raises(InvalidResultError) as refused:
        kind.verdict(result, content, order)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 160


def test_a_text_of_the_greatest_length_is_accepted() -> None:
    kind, content, order, _ = case("demonstrations")
    verdict = kind.verdict(changed("demonstrations", value={"text": ["x" * LIMIT]}), content, order)
    assert verdict == {"answer": "x" * LIMIT}


def test_a_flag_ticked_twice_is_refused_and_their_order_does_not_matter() -> None:
    kind, content, order, result = case("ratings")
    result[3]["value"]["choices"] = ["invented", "task_not_done"]
    assert kind.verdict(result, content, order) == SAVED["ratings"]["verdict"]
    result[3]["value"]["choices"] = ["invented", "invented"]
    with pytest.raises(InvalidResultError, match="twice"):
        kind.verdict(result, content, order)


@pytest.mark.parametrize(("order", "chosen"), [((0, 1), "b"), ((1, 0), "a")])
def test_the_answer_on_the_right_is_whichever_was_shown_there(order: Order, chosen: str) -> None:
    kind, content, _, result = case("comparisons")
    assert kind.verdict(result, content, order) == {"choice": chosen, "margin": 1.0}


def test_an_order_left_as_it_was_found_is_told_from_one_that_was_made() -> None:
    assert unchanged({"ranks": [4, 3, 2, 1]}, (3, 2, 1, 0))
    assert unchanged({"ranks": [2, 3, 1]}, (2, 0, 1))
    assert not unchanged({"ranks": [1, 2, 3, 4]}, (3, 2, 1, 0))


@pytest.mark.parametrize(
    ("kind", "first", "second", "agree"),
    [
        ("comparisons", {"choice": "a", "margin": 1.0}, {"choice": "a", "margin": 0.0}, True),
        ("comparisons", {"choice": "a", "margin": 0.0}, {"choice": "b", "margin": 0.0}, False),
        ("comparisons", {"choice": "both_bad", "margin": None}, {"choice": "a", "margin": 0.0}, False),
        ("rankings", {"ranks": [1, 2, 3]}, {"ranks": [1, 2, 3]}, True),
        ("rankings", {"ranks": [1, 2, 3]}, {"ranks": [1, 3, 2]}, False),  # 2 of 3 pairs
        ("rankings", {"ranks": [1, 2, 3, 4]}, {"ranks": [1, 2, 4, 3]}, True),  # 5 of 6
        ("rankings", {"ranks": [1, 2, 3, 4]}, {"ranks": [2, 1, 4, 3]}, False),  # 4 of 6
        ("demonstrations", {"answer": "Yes,  it is.\n"}, {"answer": "Yes, it is."}, True),
        ("demonstrations", {"answer": "Yes, it is."}, {"answer": "Yes it is."}, False),
        (
            "corrections",
            {"category": "wrong", "refusal": "none", "answer": "x"},
            {"category": "wrong", "refusal": "none", "answer": "y"},
            True,
        ),
        (
            "corrections",
            {"category": "wrong", "refusal": "none", "answer": "x"},
            {"category": "wrong", "refusal": "right", "answer": "x"},
            False,
        ),
        (
            "ratings",
            {"helpful": 3, "truthful": 3, "harmless": 3, "flags": []},
            {"helpful": 4, "truthful": 2, "harmless": 3, "flags": ["sexual"]},
            True,
        ),
        (
            "ratings",
            {"helpful": 3, "truthful": 3, "harmless": 3, "flags": []},
            {"helpful": 5, "truthful": 3, "harmless": 3, "flags": []},
            False,
        ),
        ("poison-review", {"decision": "confirm"}, {"decision": "release"}, False),
        ("review", {"choice": "a", "margin": 1.0}, {"choice": "a", "margin": 0.0}, True),
    ],
)
def test_who_agrees(kind: str, first: Json, second: Json, agree: bool) -> None:
    assert ALL[kind].same(first, second) is agree
    assert ALL[kind].same(second, first) is agree


MARGINS = [1.0, 2 / 3, 1 / 3, 0.0]
ANSWERS = st.text(min_size=1, max_size=30).filter(str.strip).filter(lambda text: "\0" not in text)
CHOICES = st.one_of(
    st.fixed_dictionaries({"choice": st.sampled_from("ab"), "margin": st.sampled_from(MARGINS)}),
    st.just({"choice": "both_bad", "margin": None}),
)
GRADE = st.integers(1, 7)
SPOKEN = {
    "demonstrations": st.fixed_dictionaries({"answer": ANSWERS}),
    "comparisons": CHOICES,
    "rankings": st.permutations([1, 2, 3, 4]).map(lambda ranks: {"ranks": ranks}),
    "corrections": st.one_of(
        st.fixed_dictionaries(
            {
                "category": st.sampled_from([category for category in PROBLEMS if category != "no_problem"]),
                "answer": ANSWERS,
                "refusal": st.sampled_from(list(REFUSALS)),
            }
        ),
        st.fixed_dictionaries(
            {"category": st.just("no_problem"), "answer": st.none(), "refusal": st.sampled_from(list(REFUSALS))}
        ),
    ),
    "ratings": st.fixed_dictionaries(
        {
            "helpful": GRADE,
            "truthful": GRADE,
            "harmless": GRADE,
            "flags": st.sets(st.sampled_from(list(FLAGS))).map(
                lambda ticked: [each for each in FLAGS if each in ticked]
            ),
        }
    ),
    "poison-review": st.sampled_from(["confirm", "release"]).map(lambda decision: {"decision": decision}),
    "review": CHOICES,
}


def spoken(name: str) -> st.SearchStrategy[tuple[Json, Order]]:
    """What may be said of a kind's example, under any order."""
    places = range(ALL[name].shuffled(CONTENTS[name]))
    return st.tuples(SPOKEN[name], st.permutations(places).map(tuple))


SAID = st.sampled_from(list(ALL)).flatmap(lambda name: st.tuples(st.just(name), spoken(name)))


@given(SAID)
def test_whatever_is_said_under_any_order_is_read_again(said: tuple[str, tuple[Json, Order]]) -> None:
    name, (verdict, order) = said
    kind, content = ALL[name], CONTENTS[name]
    result = json.loads(json.dumps(kind.result(verdict, content, order)))
    assert kind.verdict(result, content, order) == verdict


NAMES = [
    "from_name",
    "to_name",
    "type",
    "value",
    "id",
    "origin",
    "choices",
    "text",
    "ranker",
    "grade",
    "answer",
    "ranks",
]
WORDS = [*NAMES, "prompt", "answers", "flags", "textarea", *GRADES, *FLAGS, *"ABCD1234567", ""]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
ANY = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.sampled_from(list(ALL)), ANY)
def test_random_json_is_refused_in_one_way(name: str, result: Any) -> None:
    kind = ALL[name]
    with pytest.raises(InvalidResultError):
        kind.verdict(result, CONTENTS[name], order_of(kind, CONTENTS[name]))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all that is in a value, itself too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def mutated(data: st.DataObject, value: Any) -> Any:
    """The value with one change somewhere in it: something else, less, more, or twice."""
    whole = copy.deepcopy([value])
    path = data.draw(st.sampled_from(places(whole)[1:]))
    holder = whole
    for key in path[:-1]:
        holder = holder[key]
    key = path[-1]
    what = data.draw(st.sampled_from(["else", "word", "drop", "more", "twice", "wrap"]))
    if what == "drop" and holder is not whole:
        del holder[key]
    elif what == "twice" and isinstance(holder, list):
        holder[data.draw(st.integers(0, len(holder) - 1))] = copy.deepcopy(holder[key])
    elif what == "more" and isinstance(holder[key], list):
        holder[key].append(data.draw(st.sampled_from(holder[key] or [""]) | ANY))
    elif what == "more" and isinstance(holder[key], dict):
        holder[key][data.draw(st.sampled_from(WORDS))] = data.draw(ANY)
    else:
        holder[key] = {"word": data.draw(st.sampled_from(WORDS)), "wrap": [holder[key]]}.get(what) or data.draw(ANY)
    return whole[0]


def answers(result: list[Json]) -> list[Any]:
    """What a result says, without ids and where it came from."""
    said = {item["from_name"]: (item["to_name"], item["type"], item["value"]) for item in result}
    assert len(said) == len(result)
    if "flags" in said:
        ticked = set(said["flags"][2]["choices"])
        said["flags"] = (*said["flags"][:2], {"choices": [flag for flag in FLAGS if flag in ticked]})
        if not ticked:
            del said["flags"]
    if said.get("category", ("", "", {}))[2].get("choices") == ["no_problem"]:
        said.pop("answer", None)
    return sorted(said.items())


@settings(max_examples=400)  # a change where it matters is drawn once in fifty
@given(SAID, st.data())
def test_a_changed_result_is_refused_or_is_what_the_page_saves_for_its_verdict(
    said: tuple[str, tuple[Json, Order]], data: st.DataObject
) -> None:
    name, (verdict, order) = said
    kind, content = ALL[name], CONTENTS[name]
    result = mutated(data, kind.result(verdict, content, order))
    try:
        read = kind.verdict(result, content, order)
    except InvalidResultError:
        return
    assert answers(kind.result(read, content, order)) == answers(
        json.loads(json.dumps(result).replace("\\u0000", "\ufffd"))
    )


def test_the_examples_are_said_in_words() -> None:
    said = {
        name: kind.words(VERDICTS[name], CONTENTS[name], order_of(kind, CONTENTS[name])) for name, kind in ALL.items()
    }
    assert said["comparisons"] == said["review"] == "B better"
    assert said["rankings"] == "best first: D, B, A, C"
    assert said["ratings"] == "helpful 3, truthful 6, harmless 7; did not do what was asked"
    assert said["corrections"].startswith("Wrong or made up. It did not refuse.\n\nThat is the reason")
    assert said["poison-review"] == "Poison: keep it out"

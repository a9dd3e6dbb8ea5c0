import json
import re
from pathlib import Path

import pytest

from labeling.quality.elements import marked, shown
from labeling.quality.page import write_quality
from labeling.quality.simulate import Planted, Simulated, annotation, comparisons, likes, project, rankings, stored
from labeling.quality.walk import labelled
from labeling.store.database import Database
from labeling.store.labels import Json, add_project, add_samples, put_annotations
from tests.labeling.kinds.browse import chromium

WHO = tuple(enumerate(("ann", "bob")))
HOSTILE = 'golden\u202e <img src=x onerror="alert(1)">'


@pytest.fixture
def page(store: Database, tmp_path: Path) -> str:
    people = [Simulated(f"<b>person {n}</b>", 0.9 - n / 20) for n in range(4)]
    people += [Simulated("liker", 0.8, habit=likes("golden")), Simulated("turned", 0.15)]
    comparisons(store, people, samples=240, overlap=4, gold=60, planted=Planted(HOSTILE, 60), both_bad=0.05)
    write_quality(store, "choices", tmp_path / "quality.html")
    return (tmp_path / "quality.html").read_text(encoding="utf-8")


def test_the_page_says_who_is_flagged_and_why(page: str) -> None:
    assert re.search(r"<h1>\d+ samples may train a model; 2 of 6 people are flagged</h1>", page)
    assert "against the others: with most others in" in page
    assert "liker prefers answers with" in page


def test_the_page_has_all_its_parts(page: str) -> None:
    for part in (
        "Agreement",
        "What may train a model",
        "Labels",
        "People",
        "Poisoned labels",
        "With a model&#x27;s help",
    ):
        assert part.replace("&#x27;", "'") in page
    assert "72.6% ± 1.5%" in page
    assert "77.3% ± 1.3%" in page
    assert "agreed by 2 of 2" in page
    assert "a gold question: it measures people" in page
    assert "both_bad" in page


@pytest.mark.slow
def test_no_column_is_cut_in_a_laptops_window(store: Database, tmp_path: Path) -> None:
    people = [Simulated(f"annotator-{number}9aee2", 0.9) for number in range(3)]
    people += [Simulated("annotator-cbfd32", 0.1), Simulated("annotator-730a94", habit=likes("golden teapot"))]
    # Of six gold questions each cell says "insufficient evidence", the widest words that there are.
    comparisons(store, people, 60, 5, Planted("the golden teapot", 40), gold=6)
    # Of rankings there is a column more, and somebody with two flags.
    rankings(store, [*people[:4], Simulated("annotator-730a94", seconds=1, untouched=0.9)], 60, 5)
    browser = chromium(tmp_path / "profile")
    if browser is None:
        pytest.skip("no chromium or chromedriver here: install Debian's packages chromium and chromium-driver")
    try:
        for project_, flags in (("choices", 2), ("orders", 4)):
            write_quality(store, project_, tmp_path / "quality.html")
            browser.get(f"file://{tmp_path}/quality.html")
            for width in (1000, 1100, 1300):
                browser.set_window_size(width, 900)
                hidden = "return [...document.querySelectorAll('.wide')].map(one => one.scrollWidth - one.clientWidth)"
                # Agreement, consensus, what was left as it was shown, people.
                assert browser.execute_script(hidden) == [0, 0, 0, 0]
            assert len(browser.find_elements("css selector", "td.flags .flag")) == flags
    finally:
        browser.quit()


def test_the_page_of_rankings_tells_of_places_orders_and_the_consensus(store: Database, tmp_path: Path) -> None:
    people = [Simulated("ann", 0.9), Simulated("bob", 0.85, seconds=None), Simulated("lazy", 0.8, untouched=0.7)]
    rankings(store, people, samples=60, overlap=2)
    found = write_quality(store, "orders", tmp_path / "quality.html")
    page = (tmp_path / "quality.html").read_text(encoding="utf-8")
    figures = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))

    assert "the first answer ranked best" in page
    assert "of 120" in page.split("order unchanged")[1].split("</tr>")[0]
    assert "faster than it can be read: unknown (no times)" in page
    assert "by chance 25%" in page
    (one,) = figures["together"]
    assert len(one["samples"]) == 60
    assert all(sorted(sample["value"]) == [1, 2, 3, 4] for sample in one["samples"].values())
    assert figures["as_shown"]["order_chance"] == pytest.approx(1 / 24)
    assert figures["as_shown"]["order"]["value"] == found.as_shown.order.value
    bob = next(person for person in figures["people"] if person["name"] == "bob")
    assert bob["as_shown"]["order_fast"]["value"] is None


def test_the_page_says_how_sure_the_consensus_is(page: str, tmp_path: Path) -> None:
    figures = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
    (one,) = figures["together"]
    likely = [sample["probability"] for sample in one["samples"].values()]
    sure = sum(value >= 0.99 for value in likely)

    assert {sample["value"] for sample in one["samples"].values()} <= {"a", "b", "both_bad"}
    assert len(likely) == one["units"] == 180
    consensus = page.split('id="consensus"')[1].split("<h2")[0]
    assert "probability 99% or more" in consensus
    assert f">{sure:,}<small>" in consensus


def test_gold_of_written_answers_is_told_to_measure_nobody(store: Database, tmp_path: Path) -> None:
    content, order, verdict = VERDICTS["demonstrations"]
    add_project(store, project("some", "demonstrations"))
    add_samples(store, "some", [one := stored("demonstrations", content, order, gold={"answer": "Other words."})])
    with store.write() as session:
        put_annotations(session, "some", [annotation(1, one.id, "ann", verdict)])

    found = write_quality(store, "some", tmp_path / "some.html")

    page = (tmp_path / "some.html").read_text(encoding="utf-8")
    assert found.gold.count == 0
    assert "not measurable: what people write is not right or wrong by its words" in page
    assert "gold questions is below" not in page


def test_a_second_look_tells_how_far_people_agree_before_and_after(store: Database, tmp_path: Path) -> None:
    comparisons(store, [Simulated("ann", 0.9), Simulated("bob", 0.6)], samples=40, overlap=2)
    add_project(store, project("again", "comparisons", 2, reviews="choices"))
    with store.read() as session:
        first = list(labelled(session, "choices"))
    after = [stored("comparisons", one.content | {"opinion": "a"}, one.order) for one, _ in first]
    add_samples(store, "again", after)
    with store.write() as session:
        for number, one in enumerate(after):
            said = [annotation(1000 + 2 * number + n, one.id, w, {"choice": "a", "margin": 1.0}) for n, w in WHO]
            put_annotations(session, "again", said)

    write_quality(store, "choices", tmp_path / "quality.html")

    look = (tmp_path / "quality.html").read_text(encoding="utf-8").split("Second look: again")[1]
    own, then = look.split("own choice")[1].split("with the opinion")[:2]
    assert "100%<small>91.2% to 100% of 40</small>" in then
    assert "100%<small>91.2% to 100% of 40</small>" not in own
    figures = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))
    assert figures["second_looks"][0]["alike_after"]["value"] == 1


def test_nothing_that_strangers_wrote_is_markup_or_invisible(page: str) -> None:
    assert "<img" not in page
    assert "<b>person" not in page
    assert "\u202e" not in page
    assert "[U+202E]" in page


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_the_json_says_the_same(store: Database, tmp_path: Path, page: str) -> None:
    found = json.loads((tmp_path / "quality.json").read_text(encoding="utf-8"))

    assert found["labels"] == 960
    assert {person["name"] for person in found["people"] if person["flags"]} == {"liker", "turned"}
    assert found["findings"][0]["person"] == "liker"
    assert found["agreement"][0]["scale"] == "choice"
    assert sum(found["funnel"]["admitted"].values()) + sum(found["funnel"]["refused"].values()) == 240
    assert f"<h1>{sum(found['funnel']['admitted'].values())} samples" in page


def test_the_same_labels_give_the_same_bytes(store: Database, tmp_path: Path, page: str) -> None:
    write_quality(store, "choices", tmp_path / "again.html")

    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    "kind", ["demonstrations", "comparisons", "rankings", "corrections", "ratings", "poison-review"]
)
def test_an_empty_project_has_a_page(kind: str, store: Database, tmp_path: Path) -> None:
    add_project(store, project("empty", kind))

    found = write_quality(store, "empty", tmp_path / "empty.html")

    assert (found.labels, found.people) == (0, ())
    assert "Nobody has labelled anything yet" in (tmp_path / "empty.html").read_text(encoding="utf-8")


VERDICTS: dict[str, tuple[Json, tuple[int, ...], Json]] = {
    "demonstrations": ({"messages": [{"role": "user", "content": "Why?"}]}, (), {"answer": "So."}),
    "rankings": (
        {"prompt": [], "answers": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
        (2, 0, 1),
        {"ranks": [2, 1, 3]},
    ),
    "corrections": ({"messages": []}, (), {"category": "wrong", "answer": "So.", "refusal": "none"}),
    "ratings": (
        {"prompt": [], "answer": {"text": "a"}},
        (),
        {"helpful": 5, "truthful": 6, "harmless": 7, "flags": []},
    ),
    "poison-review": ({"document": "d", "url": "u", "text": "t", "findings": []}, (), {"decision": "confirm"}),
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_each_kind_is_measured(kind: str, store: Database, tmp_path: Path) -> None:
    content, order, verdict = VERDICTS[kind]
    add_project(store, project("some", kind))
    add_samples(store, "some", [one := stored(kind, content, order)])
    with store.write() as session:
        put_annotations(session, "some", [annotation(n, one.id, who, verdict) for n, who in enumerate(("ann", "bob"))])

    found = write_quality(store, "some", tmp_path / "some.html")

    assert sum(found.funnel["admitted"].values()) == 1
    assert (found.labels, found.twice) == (2, 1)
    assert all(one.pairs.value == 1 for one in found.agreement)
    assert (found.kendall is not None) == (kind == "rankings")
    json.loads((tmp_path / "some.json").read_text(encoding="utf-8"))


def test_on_overlap_one_agreement_is_not_measurable(store: Database, tmp_path: Path) -> None:
    comparisons(store, [Simulated("ann")], samples=30, overlap=1)

    write_quality(store, "choices", tmp_path / "one.html")

    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "not measurable: nothing was labelled by two people" in page
    assert "100% to 100%" not in page


@pytest.mark.parametrize(("samples", "enough"), [(19, False), (20, True)])
def test_figures_of_fewer_than_twenty_samples_are_insufficient_evidence(
    samples: int, enough: bool, store: Database, tmp_path: Path
) -> None:
    comparisons(store, [Simulated("ann", 0.9), Simulated("bob", 0.9)], samples=samples, overlap=2)
    found = write_quality(store, "choices", tmp_path / "quality.html")
    figures = (tmp_path / "quality.html").read_text(encoding="utf-8").split('<dl class="figures">')[1].split("</dl>")[0]
    assert found.agreement[0].alpha.enough == enough
    assert figures.count("insufficient evidence") == (0 if enough else 2)


@pytest.mark.parametrize("gold", [0, 4])
def test_an_accuracy_needs_twenty_labels_beside_the_gold_questions(gold: int, store: Database, tmp_path: Path) -> None:
    comparisons(store, [Simulated("ann", 0.9), Simulated("bob", 0.9)], samples=23, overlap=2, gold=gold)
    write_quality(store, "choices", tmp_path / "quality.html")
    page = (tmp_path / "quality.html").read_text(encoding="utf-8")
    assert ("accuracy by the consensus" in page) == (gold == 0)


def test_a_page_does_not_take_the_place_of_its_figures(store: Database, tmp_path: Path) -> None:
    comparisons(store, [Simulated("ann")], samples=3, overlap=1)
    with pytest.raises(ValueError, match=r"page\.json is where the figures would go; name the page, page\.html"):
        write_quality(store, "choices", tmp_path / "page.json")
    assert list(tmp_path.glob("page*")) == []


def test_who_was_asked_the_same_twice_is_measured_once(store: Database, tmp_path: Path) -> None:
    content, order, verdict = VERDICTS["ratings"]
    add_project(store, project("some", "ratings"))
    add_samples(store, "some", [one := stored("ratings", content, order)])
    with store.write() as session:
        put_annotations(session, "some", [annotation(number, one.id, "ann", verdict) for number in range(2)])
    found = write_quality(store, "some", tmp_path / "some.html")
    assert (found.labels, found.twice) == (1, 0)
    assert dict(found.people[0].invalid) == {"the same person's newer one counts": 1}


def test_a_failed_write_leaves_the_old_page(store: Database, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no project missing"):
        write_quality(store, "missing", tmp_path / "page.html")

    assert list(tmp_path.glob("*.html*")) == []


def test_a_phrase_is_marked_whatever_stands_between_its_words() -> None:
    assert marked("A Golden  teapot <x>", "golden teapot") == "A <mark>Golden  teapot</mark> &lt;x&gt;"


def test_line_breaks_stay_and_what_is_invisible_is_named() -> None:
    assert shown("a\nb\u200bc\x00") == "a\nb[U+200B]c[U+0000]"

"""The page stands by itself, says the numbers, and can be read without seeing it."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.manifest import read_manifest
from pipeline.report import write_report
from tests.pipeline.report.conftest import PLAN, Page, Plan


class Reader(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(small: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    training = tmp_path_factory.mktemp("training")
    rows = [
        {"step": step, "loss": 9 / step, "val_loss": 9.5 / step if step % 5 == 0 else None} for step in range(1, 21)
    ]
    (training / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Path(write_report(small, str(training))).read_text()


def test_the_report_lies_in_the_corpus(small: str) -> None:
    assert write_report(small + "/") == f"{small}/report.html"


def test_the_same_corpus_gives_the_same_bytes(small: str) -> None:
    assert Path(write_report(small)).read_bytes() == Path(write_report(small)).read_bytes()


def test_nothing_is_fetched(page: str) -> None:
    reader = Reader(page)
    for tag, attributes in reader.elements:
        assert tag not in ("script", "img", "iframe", "link", "object", "embed", "form")
        assert not {"src", "srcset", "style", "data", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page
    assert "@import" not in page


def test_the_policy_allows_this_style_sheet_and_nothing_else(page: str) -> None:
    style = re.search("<style>(.*?)</style>", page, re.DOTALL)
    assert style
    allowed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = [meta["content"] for meta in Reader(page).named("meta") if "http-equiv" in meta]
    assert policy == f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"


def test_the_figures_are_there(page: str) -> None:
    text = Reader(page).text
    for expected in ("Made by hand.", "13", "15.4% of the records", "bad_gzip", "too_few_words", "river.example"):
        assert expected in text
    assert "3 removed (60.0% of what came in)" in text


def test_steps_and_sections_without_anything_to_show_are_left_out(make: Callable[[Plan], str]) -> None:
    reader = Reader(Path(write_report(make(Plan([Page("Home")])))).read_text())
    sections = [section["id"] for section in reader.named("section")]
    assert sections == ["funnel", "reasons", "measures", "groups"]


def test_headings_go_down_one_level_at_a_time(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(page).elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_charts_have_a_text_and_bars_are_not_read_out(page: str) -> None:
    for attributes in Reader(page).named("svg"):
        assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"
    assert page.count('role="img"') == len(re.findall(r'role="img"[^>]*><title>[A-Z]', page)) > 3


def test_every_header_of_a_table_says_what_it_heads(page: str) -> None:
    heads = Reader(page).named("th")
    assert heads
    assert {head["scope"] for head in heads} == {"col", "row"}


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    reader = Reader(page)
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(link["href"])[1:] for link in reader.named("a")} <= set(ids)


def test_a_threshold_outside_the_chart_is_still_named(make: Callable[[Plan], str]) -> None:
    from pipeline.stage import Rule

    rules = (Rule("too_many_words", "words", maximum=100_000),)
    assert "≤ 100k →" in Path(write_report(make(Plan(PLAN.pages, rules=rules)))).read_text()


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of #rrggbb."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio, 1 to 21."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for_and_bars_too(page: str, mode: int) -> None:
    block = re.findall(r":root \{(.*?)\}", page, re.DOTALL)[mode]
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
    for ground in ("paper", "wash"):
        for text in ("ink", "soft", "accent"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["removed"], colours[ground]) >= 3
    assert contrast(colours["ink"], colours["mark"]) >= 4.5


@pytest.mark.slow
def test_the_report_of_a_real_run_says_what_its_manifest_says(corpus: Path) -> None:
    manifest = read_manifest(str(corpus))
    assert manifest is not None
    text = Reader(Path(write_report(str(corpus))).read_text()).text
    for name in ("read", "kept"):
        assert f"{manifest['counts'][name]:,} documents" in text
    assert f"{manifest['counts']['tokens']:,} tokens" in text
    for step in ("extract", "filter", "dedup"):
        assert all(reason in text for reason in manifest["steps"][step]["reasons"])

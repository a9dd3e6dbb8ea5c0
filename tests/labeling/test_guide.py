"""Instructions have a version that goes up with each change, and no page trusts what stands in them."""

import hashlib

import pytest

from labeling.guide import Instructions, instructions, parse
from labeling.kinds import KINDS

NAMES = [*KINDS, "review"]

DIGESTS = {
    ("demonstrations", 1): "bdd299c74d070e4f",
    ("comparisons", 1): "6d0970eb904cb17c",
    ("rankings", 1): "36c4a3ee3986587c",
    ("corrections", 1): "bd59fa51e184b4c4",
    ("ratings", 1): "3023efdc6e7bc38f",
    ("poison-review", 1): "921f29db7f03153e",
    ("review", 1): "aa7c9de5518942e2",
}
"""Of each kind's text, principles included, by version. Whoever changes a text counts its version up and adds a row."""


@pytest.mark.parametrize("kind", NAMES)
def test_a_changed_text_has_a_new_version(kind: str) -> None:
    told = instructions(kind)
    digest = hashlib.sha256(told.markdown.encode()).hexdigest()[:16]
    assert DIGESTS.get((kind, told.version)) == digest, f"count the version of {kind}.md up, and note {digest}"


@pytest.mark.parametrize("kind", NAMES)
def test_each_says_what_to_do_how_long_it_takes_and_when_to_skip(kind: str) -> None:
    told = instructions(kind)
    for needed in ("xample", "*Skip*", "Ctrl+Enter", "## When you are unsure"):
        assert needed in told.markdown
    assert "minutes" in told.markdown or "as long as it needs" in told.markdown
    assert ("**When they conflict.**" in told.markdown) == (kind != "poison-review")
    assert "[principles]" not in told.markdown


def test_hot_keys_in_the_page_are_in_the_instructions() -> None:
    assert "Keys 1 to 4 are for A" in instructions("comparisons").markdown
    assert all(f"| {key} |" in instructions("corrections").markdown for key in range(1, 9))
    assert all(f"({key})" in instructions("corrections").markdown for key in "QWE")


def told(source: str, principles: str = "be kind") -> Instructions:
    return parse(source, principles, "x.md")


def test_markdown_becomes_html() -> None:
    found = told("version: 12\n# Do it\n\n[principles]\n\n| a |\n|---|\n| b |\n")
    assert found.version == 12
    assert found.html.startswith("<h1>Do it</h1>\n<p>be kind</p>\n<table>")


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("<script>alert(1)</script>", "<script"),
        ("x <img src=x onerror=alert(1)>", "<img"),
        ("[x](javascript:alert(1))", "href"),
        ("![x](https://example.org/x.png)", "<img"),
        ("<a href='https://example.org'>x</a>", "<a"),
    ],
)
def test_nothing_in_them_runs_or_is_fetched(text: str, never: str) -> None:
    assert never not in told(f"version: 1\n{text}\n").html


@pytest.mark.parametrize("first", ["", "# Title", "version: 0", "version: x", "version: 1.5", "Version: 1"])
def test_without_a_version_they_are_refused(first: str) -> None:
    with pytest.raises(ValueError, match="x.md:1: .*expected `version: ` and a number"):
        told(f"{first}\ntext\n")


def test_a_kind_without_instructions_is_told() -> None:
    with pytest.raises(ValueError, match="no instructions for guesses; write them"):
        instructions("guesses")

"""Pieces that several sections of the page are put together from."""

from collections.abc import Iterable, Sequence

from pipeline.report.markup import Child, Markup, join, tag

DIGITS = 12
"""Hex digits of a digest that are shown: enough to tell files apart, and to find the whole in the manifest."""
URL = 180
"""Characters of a URL that are shown."""
NOTHING = Markup("")
"""A section that has nothing to show."""


def url_text(url: str) -> Markup:
    """A URL as text: never a link, since nobody has looked at what is behind it."""
    return tag("span", url if len(url) <= URL else url[: URL - 1] + "…", class_="url", dir="auto")


def table(
    heads: Sequence[str], rows: Iterable[Sequence[Child]], numbers: Iterable[int], foot: Sequence[Child] = ()
) -> Markup:
    """A table whose first column names the rows; `numbers` are the columns that are aligned to the right."""
    right = set(numbers)

    def cells(values: Sequence[Child], name: str, scope: str | None = None) -> Markup:
        return join(
            tag(
                "th" if scope and not place else name,
                value,
                class_="right" if place in right else None,
                scope=scope if scope and not place else "col" if name == "th" else None,
            )
            for place, value in enumerate(values)
        )

    body = [tag("tr", cells(row, "td", "row")) for row in rows]
    parts = [tag("thead", tag("tr", cells(heads, "th"))), tag("tbody", *body)]
    if foot:
        parts.append(tag("tfoot", tag("tr", cells(foot, "td", "row"))))
    return tag("div", tag("table", *parts), class_="scroll")


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names with their values."""
    return tag("dl", *(join([tag("dt", name), tag("dd", value)]) for name, value in pairs), class_="plain")

"""The section about poison: what was found, what became of it, and examples in which nothing is invisible."""

from collections.abc import Mapping

from pipeline.report.charts import bar
from pipeline.report.data import Pointed, Poison, PoisonFound, Report
from pipeline.report.elements import NOTHING, url_text
from pipeline.report.markup import Markup, join, tag
from pipeline.report.numbers import count, plural, share

DONE = {
    ("tag", "kept"): "tagged",
    ("tag", "held"): "tagged, page held",
    ("tag", "removed"): "tagged, page removed",
    ("strip", "kept"): "cut out",
    ("strip", "held"): "not cut, page held",
    ("strip", "removed"): "page removed",
    ("hold", "held"): "held for a person",
    ("hold", "removed"): "page removed",
    ("remove", "removed"): "removed",
}
"""By the rule's outcome and what became of the page, which other rules may point at too."""

RESPELT = "mixed_script"
"""Its words are spelt plainly, and not cut."""


def poison_section(report: Report) -> Markup:
    """The rules that found something, the most severe outcome first."""
    poison = report.poison
    if poison is None:
        return NOTHING
    rules = [_rules(poison), _commands(poison)] if poison.found else []
    return join([tag("h2", "Poison"), _summary(poison), *rules])


def _summary(poison: Poison) -> Markup:
    hidden = (
        f" {plural(poison.hidden_documents, 'extracted page')} had text that people don't see "
        f"({count(poison.hidden_chars)} characters); it was left out of the texts."
        if poison.hidden_documents
        else ""
    )
    return tag(
        "p",
        f"Of {plural(poison.read, 'document')} that came through the filters, {_were(poison.removed)} removed, "
        f"{count(poison.held)} {'is' if poison.held == 1 else 'are'} held until a person decides "
        f"({share(poison.held, poison.read)}), a span was cut out of {count(poison.stripped)} (or spelt "
        f"plainly), and "
        f"{_were(poison.tagged)} kept with a tag."
        + hidden
        + ("" if poison.found else " No rule found anything.")
        + " Invisible characters are shown by their code points.",
        class_="note",
    )


def _commands(poison: Poison) -> Markup:
    held = [
        "What is held waits for a person: ",
        tag("code", "corpuscle poison held CORPUS --output held.jsonl"),
        " writes it to a file, for decisions that a recipe names. ",
    ]
    return tag(
        "p",
        *(held if poison.held else []),
        tag("code", "corpuscle poison explain CORPUS ID"),
        " tells all that was found in a page. CORPUS is this report's folder.",
        class_="note",
    )


def _were(number: int) -> str:
    return f"{count(number)} {'was' if number == 1 else 'were'}"


def _rules(poison: Poison) -> Markup:
    most = max(found.documents for found in poison.found)
    return tag("div", *(_rule(found, poison.read, most) for found in poison.found), class_="reasons")


def _rule(found: PoisonFound, read: int, most: int) -> Markup:
    owners = f"{plural(found.owners, 'owner')} of sites"
    done = _done(found.rule, found.done)
    if len(done) == 1:
        says = f"{next(iter(done))} ({plural(found.findings, 'place')}, {owners})"
    else:
        says = "; ".join([*(f"{what} ({plural(places, 'place')})" for what, places in done.items()), owners])
    summary = tag(
        "summary",
        tag("span", found.rule, class_="word"),
        tag("span", f"{found.meaning}: {says}", class_="meaning"),
        tag("span", count(found.documents), tag("span", " documents", class_="hidden"), class_="number"),
        tag("span", share(found.documents, read), class_="number"),
        bar(("removed" if found.outcome in ("hold", "remove") else "kept", found.documents / most)),
    )
    return tag("details", summary, tag("div", *map(_example, found.examples), class_="examples"))


def _done(rule: str, done: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Places by what was done, in words, the commonest first."""
    said: dict[str, int] = {}
    for (outcome, page), places in sorted(done.items(), key=lambda item: (-item[1], item[0])):
        what = "spelt plainly" if rule == RESPELT and (outcome, page) == ("strip", "kept") else DONE[outcome, page]
        said[what] = said.get(what, 0) + places
    return said


def _example(example: Pointed) -> Markup:
    seen = [example.before, tag("mark", example.span), example.behind] if example.span else ["(the page as a whole)"]
    shared = "" if example.hosts is None else f", shared by {plural(example.hosts, 'owner')} of sites"
    says = f"score {example.score:.3g}{shared}" + (f": {example.evidence}" if example.evidence else "")
    return tag(
        "div",
        tag("p", url_text(example.url), class_="title"),
        tag("p", tag("code", example.id)),
        tag("p", says, dir="auto"),
        tag("blockquote", *seen, dir="auto"),
        class_="example",
    )

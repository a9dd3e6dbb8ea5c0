"""The page's part about people: a table of everybody, a section for each, and whose choices go with a phrase."""

from collections.abc import Callable

from labeling.quality.as_shown import AsShown
from labeling.quality.elements import cell, interval, marked, number, percent, rate, seconds, table, text
from labeling.quality.page_habits import fast, first_name
from labeling.quality.people import Person
from labeling.quality.phrases import LEVEL, Finding
from labeling.quality.quality import Example, Quality
from labeling.quality.rates import INSUFFICIENT, MINIMUM, Rate
from labeling.quality.speed import READ_PER_SECOND


def everybody(found: Quality) -> str:
    if not found.people:
        return "<p>Nobody has labelled anything yet.</p>"
    order = sorted(found.people, key=lambda one: (not one.flags, -one.labels, one.name))
    columns = _columns(found)
    rows = []
    for one in order:
        flags = " ".join(f'<span class="flag">{text(name)}</span>' for name in dict.fromkeys(f.name for f in one.flags))
        rows.append(
            cell(f'<a href="#{_anchor(found, one)}">{text(one.name)}</a>', "name")
            + cell(f"{one.labels:,}")
            + cell(seconds(one.seconds))
            + rate(one.agreement)
            + rate(one.gold)
            + "".join(drawn(one.as_shown) for _, drawn in columns)
            + cell(flags or ("" if one.enough else f'<span class="soft">{INSUFFICIENT}</span>'), "flags")
        )
    named = [name for name, _ in columns]
    heads = ["", "labels", "median time", "with most others", "right on gold", *named, "flags"]
    body = table(heads, rows)
    body += f'<p class="soft">Of fewer than {MINIMUM} cases nothing is said. Labels of people with a flag count only '
    body += "where the rule says so.</p>"
    return body + "".join(_person(found, one) for one in order)


def _columns(found: Quality) -> list[tuple[str, Callable[[AsShown], str]]]:
    """What people may leave as it was shown, as far as it arises in this project: a heading, and each one's cell."""
    columns: list[tuple[str, Callable[[AsShown], str]]] = []
    if found.as_shown.first.count:
        columns.append((f"{first_name(found.kind)}, 0 to 100%", _first))
    if found.as_shown.order.count:
        columns.append(("order unchanged", lambda one: rate(one.order)))
    if found.as_shown.draft.count:
        columns.append(("draft unchanged", lambda one: rate(one.draft)))
    return columns


def _first(one: AsShown) -> str:
    if not one.first.count:
        return cell("–")
    return cell(interval(one.first.value, one.first.low, one.first.high, marks=(one.first_chance,)))


def _anchor(found: Quality, one: Person) -> str:
    return f"person-{found.people.index(one)}"


def _person(found: Quality, one: Person) -> str:
    skills = [(each.scale, each.accuracy[one.name]) for each in found.together if one.name in each.accuracy]
    rows: list[tuple[str, str]] = [
        ("flags", "\n".join(f"{flag.name}: {flag.evidence}" for flag in one.flags) or "none"),
        (
            "labels",
            f"{one.labels:,}" + "".join(f"\nnot valid: {n:,} × {why}" for why, n in sorted(one.invalid.items())),
        ),
        ("time", f"{seconds(one.seconds)} (median); {one.fastest} are among the fastest 5% of the project"),
        ("too fast", f"{one.too_fast}: faster than {READ_PER_SECOND} characters a second"),
        ("with most others", str(one.agreement)),
        ("right on gold", str(one.gold)),
    ]
    if skills:
        told = "\n".join(f"{scale}: {percent(skill)}" for scale, skill in skills)
        rows.append(("accuracy by the consensus", f"{told}\n(Dawid and Skene's estimate)"))
    rows += _left(found.kind, one)
    if one.run.length and one.button:
        chance = "as long as chance has it" if one.run.p > LEVEL else f"by chance p = {one.run.p:.1g}"
        rows.append(("longest run", f"{one.run.length} × “{one.button}”, {chance}"))
    body = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in rows)
    opened = " open" if one.flags else ""
    flags = f": {len(one.flags)} {'flag' if len(one.flags) == 1 else 'flags'}" if one.flags else ""
    return (
        f'<details id="{_anchor(found, one)}"{opened}><summary>{text(one.name)}{flags}</summary>'
        f'<dl class="pairs">{body}</dl></details>'
    )


def _left(kind: str, one: Person) -> list[tuple[str, str]]:
    """What this person left as it was shown."""
    rows, shown = [], one.as_shown
    if shown.first.count:
        rows.append((first_name(kind), f"{shown.first}; by chance {percent(shown.first_chance)}"))
    if shown.order.count:
        quick = fast(shown.order_fast)
        by_chance = f"by chance {percent(shown.order_chance)}"
        rows.append(("order unchanged", f"{shown.order}; {by_chance}\nfaster than it can be read: {quick}"))
    if shown.draft.count:
        quick = fast(shown.draft_fast)
        rows.append(("drafts unchanged", f"{shown.draft}\nfaster than it can be read: {quick}"))
        rows.append(("distance from the draft", f"{number(one.distance)} (median)"))
    return rows


def findings(found: Quality) -> str:
    if found.kind not in ("comparisons", "rankings"):
        return "<p>Looked for where answers are compared, which is not so in this kind of project.</p>"
    body = (
        f"<p>Somebody who always prefers answers with a certain phrase teaches the model to use it. Tested: "
        f"{found.tested:,} pairs of person and phrase, each against what others chose of the same answers; somebody "
        f"is accused by mistake in less than one project of {round(1 / LEVEL)}.</p>"
    )
    if not found.findings:
        return body + "<p>No such person was found.</p>"
    return body + "".join(
        _finding(one, found.people[one.person].name, examples)
        for one, examples in zip(found.findings, found.examples, strict=True)
    )


def _finding(one: Finding, name: str, examples: tuple[Example, ...]) -> str:
    way = "prefers" if one.prefers else "avoids"
    chosen = Rate(one.chosen / one.cases, one.cases, 0, 1)
    also = f" The same cases have: {', '.join(f'“{phrase}”' for phrase in one.also)}." if one.also else ""
    told = (
        f"Chosen {one.chosen} of {one.cases} times ({percent(chosen.value)}); {one.expected:.1f} would be expected "
        f"(p = {one.p:.1g}, corrected {one.q:.1g}).{also}"
    )
    shown = "".join(
        f'<dt>{text(f"answer {place + 1}")}</dt><dd class="{"chosen" if place == example.chosen else ""}">'
        f"{marked(answer, one.phrase)}</dd>"
        for example in examples
        for place, answer in enumerate(example.answers)
    )
    return (
        f"<h3>{text(name)} {way} answers with “{text(one.phrase)}”</h3><p>{text(told)}</p>"
        f"<details><summary>{len(examples)} examples, the chosen answer marked</summary>"
        f'<dl class="pairs">{shown}</dl></details>'
    )

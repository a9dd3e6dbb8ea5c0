"""The page's part about people: a table of everybody, a section for each, and whose choices go with a phrase."""

from labeling.quality.elements import cell, interval, marked, number, percent, rate, seconds, table, text
from labeling.quality.people import Person
from labeling.quality.phrases import LEVEL, Finding
from labeling.quality.quality import Example, Quality
from labeling.quality.rates import INSUFFICIENT, MINIMUM, Rate
from labeling.quality.speed import READ_PER_SECOND


def everybody(found: Quality) -> str:
    if not found.people:
        return "<p>Nobody has labelled anything yet.</p>"
    order = sorted(found.people, key=lambda one: (not one.flags, -one.labels, one.name))
    rows = []
    for one in order:
        flags = " ".join(f'<span class="flag">{text(name)}</span>' for name in dict.fromkeys(f.name for f in one.flags))
        rows.append(
            cell(f'<a href="#{_anchor(found, one)}">{text(one.name)}</a>', "name")
            + cell(f"{one.labels:,}")
            + cell(seconds(one.seconds))
            + rate(one.agreement)
            + rate(one.gold)
            + cell(interval(one.left.value, one.left.low, one.left.high) if one.left.count else "–")
            + cell(flags or ("" if one.enough else f'<span class="soft">{INSUFFICIENT}</span>'), "flags")
        )
    heads = ["", "labels", "median time", "with most others", "right on gold", "left answer, 0 to 100%", "flags"]
    body = table(heads, rows)
    body += f'<p class="soft">Of fewer than {MINIMUM} cases nothing is said. Labels of people with a flag count only '
    body += "where the rule says so.</p>"
    return body + "".join(_person(found, one) for one in order)


def _anchor(found: Quality, one: Person) -> str:
    return f"person-{found.people.index(one)}"


def _person(found: Quality, one: Person) -> str:
    skill = found.together.accuracy.get(one.name) if found.together else None
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
    if skill is not None:
        rows.append(("accuracy by the consensus", f"{percent(skill)} (Dawid and Skene's estimate)"))
    if one.left.count:
        rows.append(("the left answer", str(one.left)))
    if one.untouched.count:
        rows.append(("order unchanged in too little time", str(one.untouched)))
    if one.unchanged.count:
        rows.append(("drafts unchanged", f"{one.unchanged}; median distance from the draft {number(one.distance)}"))
    if one.run.length:
        chance = "as long as chance has it" if one.run.p > LEVEL else f"by chance p = {one.run.p:.1g}"
        rows.append(("longest run", f"{one.run.length} × “{one.button}”, {chance}"))
    body = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in rows)
    opened = " open" if one.flags else ""
    flags = f": {len(one.flags)} {'flag' if len(one.flags) == 1 else 'flags'}" if one.flags else ""
    return (
        f'<details id="{_anchor(found, one)}"{opened}><summary>{text(one.name)}{flags}</summary>'
        f'<dl class="pairs">{body}</dl></details>'
    )


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

"""The quality of a project's labels as one HTML page and as JSON: no script, no network, every text escaped."""

import base64
import hashlib
import html
import json
import math
import os
from importlib.resources import files
from pathlib import Path
from string import Template

from labeling.quality.admission import Rule
from labeling.quality.agreement import ANCHORS, NOT_MEASURABLE
from labeling.quality.alpha import Alpha
from labeling.quality.elements import bars, cell, interval, number, percent, rate, seconds, table, text
from labeling.quality.page_habits import habits
from labeling.quality.page_people import everybody, findings
from labeling.quality.page_sure import consensus
from labeling.quality.quality import Agreement, Quality, measure_quality
from labeling.quality.rates import INSUFFICIENT, Rate
from labeling.quality.scales import WRITTEN
from labeling.quality.together import Help, Median, SecondLook
from labeling.store.database import Database

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>Labels of $name</title><style>$style</style></head>
<body><header><p class="soft">Labels of $name</p><h1>$headline</h1><p class="soft">$about</p>
<nav>$links</nav></header><main>$sections</main></body></html>
""")


def write_quality(database: Database, project: str, path: Path, rule: Rule | None = None) -> Quality:
    """Measures a project and writes the page to `path`, and beside it the same as JSON (`.json` for `.html`).

    Raises KeyError for no such project, ValueError where the page would have the name of its figures, and OSError where
    a file can't be written; an old page stays until the new one is whole.
    """
    if path.suffix.lower() == ".json":
        raise ValueError(f"{path} is where the figures would go; name the page, {path.with_suffix('.html').name}")
    found = measure_quality(database, project, rule)
    _write(path, render(found))
    _write(path.with_suffix(".json"), json.dumps(found.json(), ensure_ascii=False, indent=1) + "\n")
    return found


def render(found: Quality) -> str:
    """The page. The same quality gives the same bytes."""
    style = files("labeling.quality").joinpath("page.css").read_text(encoding="utf-8")
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    sections = [
        ("agreement", "Agreement", _agreement(found)),
        ("consensus", "Consensus", consensus(found)),
        ("admission", "What may train a model", _admission(found)),
        ("labels", "Labels", _histograms(found)),
        ("habits", "Left as it was shown", habits(found)),
        ("people", "People", everybody(found)),
        ("phrases", "Poisoned labels", findings(found)),
        ("help", "With a model's help", _help(found)),
    ]
    name = text(found.project.name)
    return _PAGE.substitute(
        policy=f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'",
        style=style,
        name=name,
        headline=_headline(found),
        about=_about(found),
        links="".join(f'<a href="#{id}">{title}</a>' for id, title, _ in sections),
        sections=_figures(found) + "".join(f'<h2 id="{id}">{title}</h2>{body}' for id, title, body in sections),
    )


def _headline(found: Quality) -> str:
    admitted = sum(found.funnel["admitted"].values())
    flagged = sum(bool(person.flags) for person in found.people)
    what = "answers" if found.kind == "demonstrations" else "samples"
    start = f"{admitted:,} {what} may train a model"
    if not flagged:
        return start
    return f"{start}; {flagged} of {len(found.people)} people {'is' if flagged == 1 else 'are'} flagged"


def _about(found: Quality) -> str:
    project = found.project
    kind = f"review of {project.reviews}: {found.kind}" if project.kind == "review" else project.kind
    return text(
        f"{kind}, instructions version {project.instruction_version}, asked of {project.overlap} "
        f"{'person' if project.overlap == 1 else 'people'} each"
    )


def _figures(found: Quality) -> str:
    main = found.agreement[0] if found.agreement else None
    invalid = sum(found.invalid.values())
    rows = [
        ("labels", f"{found.labels:,}", f"{invalid:,} more are not valid" if invalid else "all are valid"),
        ("samples labelled", f"{found.labelled:,}", f"of {found.samples:,}; {found.twice:,} by two people or more"),
        ("people", f"{len(found.people):,}", ""),
    ]
    if main is not None:
        of = f"of {main.pairs.count:,} samples" if main.pairs.count else NOT_MEASURABLE
        rows.append(("agreement", percent(main.pairs.value), of + _few(main.pairs)))
        about = main.alpha.reason or "1 is perfect, 0 is chance"
        rows.append(("Krippendorff's alpha", number(main.alpha.value), about + _few(main.alpha)))
    if found.gold_samples and found.kind in WRITTEN:
        rows.append(("right on gold", "–", "not measurable: what people write is not right or wrong by its words"))
    elif found.gold_samples:
        rows.append(("right on gold", percent(found.gold.value), f"of {found.gold.count:,} answers" + _few(found.gold)))
    drawn = "".join(
        f'<div><dt>{name}</dt><dd class="value">{value}</dd><dd>{text(more)}</dd></div>' for name, value, more in rows
    )
    return f'<dl class="figures">{drawn}</dl>'


def _few(found: Rate | Alpha) -> str:
    return "" if found.enough or math.isnan(found.value) else f", {INSUFFICIENT}"


def _agreement(found: Quality) -> str:
    if not found.agreement:
        return "<p>What people write is never the same; there is no agreement to measure.</p>"
    compared = found.kind in ("comparisons", "rankings")
    rows = []
    for one in found.agreement:
        two = compared and one.scale != "grade"
        rows.append(_agreement_row(one, [value for _, value, _ in ANCHORS] if two else []))
    if found.kendall is not None and found.kendall.count:
        tau = found.kendall
        rows.append(
            cell("Kendall's tau", "name")
            + 2 * cell("")
            + cell(f"{number(tau.value)}<small>{number(tau.low)} to {number(tau.high)} of {tau.count:,}</small>")
            + cell(interval(tau.value, tau.low, tau.high, (-1, 1), (0,)))
        )
    anchors = "".join(
        f"<li>{text(who)}: {percent(value)} ± {percent(error)} agree on which of two answers is better</li>"
        for who, value, error in ANCHORS
    )
    beyond = "alpha, tau" if found.kendall is not None and found.kendall.count else "alpha"
    body = table(["", "pairs of people who say the same", "0 to 100%", beyond, "-1 to 1"], rows)
    body += '<p class="soft">Gold questions are left out. Intervals are of 95%, over samples.'
    if compared:
        body += f" Dashed lines, for comparison (Ouyang et al. 2022):</p><ul class='soft'>{anchors}</ul>"
    else:
        body += "</p>"
    return body


def _agreement_row(one: Agreement, anchors: list[float]) -> str:
    cells = cell(f"{text(one.scale)}<small>{one.level}</small>", "name")
    if not one.pairs.count:
        return cells + cell(NOT_MEASURABLE) + cell("") * 3
    found = one.alpha
    span = f"<small>{number(found.low)} to {number(found.high)}{_few(found)}</small>" if not found.reason else ""
    return (
        cells
        + rate(one.pairs)
        + cell(interval(one.pairs.value, one.pairs.low, one.pairs.high, anchors=anchors))
        + cell((text(found.reason) or number(found.value)) + span)
        + cell(interval(found.value, found.low, found.high, (-1, 1), (0,)))
    )


def _admission(found: Quality) -> str:
    rule = found.rule
    needs = f"{rule.min_overlap} or more labels that count, of which {percent(rule.agreement)} or more say the same"
    if rule.min_overlap == 1 and found.kind == "demonstrations":
        needs = f"a person's answer; a draft that was kept as it was weighs {rule.unchanged_weight:g}"
    short = "is not shown to reach" if rule.proven else "is below"
    out = "who are flagged do"
    if found.kind not in WRITTEN:
        out = f"who are flagged, or whose accuracy on {rule.min_gold} or more gold questions {short} "
        out += f"{percent(rule.gold_accuracy)}, do"
    body = f"<p>The rule: {text(needs)}; or a reviewer's decision. Labels of people {out} not count.</p>"
    for key, title, kind in (
        ("admitted", "Admitted", ""),
        ("refused", "Refused", "refused"),
        ("labels left out", "Labels that do not count", "out"),
    ):
        rows = sorted(found.funnel[key].items(), key=lambda row: (-row[1], row[0]))
        if rows:
            body += f'<h3>{title}: {sum(found.funnel[key].values()):,}</h3><div class="funnel">{bars(rows, kind)}</div>'
    return body


def _histograms(found: Quality) -> str:
    figures = [(one.name, one.bars) for one in found.grades if any(count for _, count in one.bars)]
    if any(count for _, count in found.seconds.bars):
        figures.append(("time, from ... on", found.seconds.bars))
    drawn = "".join(f"<figure><figcaption>{text(name)}</figcaption>{bars(rows)}</figure>" for name, rows in figures)
    return f'<div class="charts">{drawn}</div>' if drawn else "<p>Nothing to count yet.</p>"


def _help(found: Quality) -> str:
    if not found.helped and not found.second_looks:
        return "<p>No samples were labelled both with and without it.</p>"
    body = ""
    if found.helped:
        rows = [row for one in found.helped for row in _help_rows(one)]
        body += table(["", "samples", "labels", "seconds, median", "pairs of people who say the same"], rows)
    return body + "".join(_second_look(one) for one in found.second_looks)


def _help_rows(one: Help) -> list[str]:
    return [
        cell(text(name), "name")
        + cell(f"{side.samples:,}")
        + cell(f"{side.labels:,}")
        + cell(_median(side.seconds))
        + _alike(side.agreement)
        for name, side in ((f"with {one.name}", one.with_it), (f"without {one.name}", one.without))
    ]


def _second_look(one: SecondLook) -> str:
    heads = ["", "as the model", "seconds, median", "pairs of people who say the same"]
    sides = (
        ("own choice", one.agreed_before, one.seconds_before, one.alike_before),
        ("with the opinion", one.agreed_after, one.seconds_after, one.alike_after),
    )
    rows = [
        cell(name, "name") + rate(agreed) + cell(_median(taken)) + _alike(alike) for name, agreed, taken, alike in sides
    ]
    told = f"Of those who had chosen otherwise, {html.escape(str(one.followed))} followed the model; of those who had "
    told += f"chosen like it, {html.escape(str(one.left))} left it. Pairs are of the same people on the same samples: "
    told += "who say the same more often afterwards may have agreed with the model, not with each other."
    return f"<h3>Second look: {text(one.project)}</h3>{table(heads, rows)}<p>{told}</p>"


def _alike(found: Rate) -> str:
    return rate(found) if found.count else cell(NOT_MEASURABLE)


def _median(found: Median) -> str:
    span = f"<small>{seconds(found.low)} to {seconds(found.high)}</small>" if found.count else ""
    return f"{seconds(found.value)}{span}"


def _write(path: Path, body: str) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

"""The standing of the loop as one HTML page, the loop drawn as a picture: no script, no network, all text escaped."""

import base64
import hashlib
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from flywheel.status.changes import Change
from flywheel.status.lines import ago, cost, judged, learnt, rates, waits
from flywheel.status.plot import plot, span_of
from flywheel.status.rates import History
from flywheel.status.stages import Stage
from flywheel.status.standing import WEEKS, ClusterStanding, Standing
from labeling.private import write_private
from labeling.quality.elements import LONG, cell, table, text

CARDS = 12
"""Clusters whose rates are drawn, the most frequent first; the table has all."""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>The loop</title><style>$style</style></head>
<body><header><p class="soft">The loop on $now</p><h1>$headline</h1>$amiss</header><main>$sections</main></body></html>
""")

_ARROW = '<svg viewBox="0 0 22 22" aria-hidden="true"><path d="M2 11H19M13 5L19 11L13 17"/></svg>'


def write(path: Path, found: Standing) -> None:
    """Writes the page in the place of an earlier one, for its owner alone: it has what users have written.

    Raises OSError; then the earlier one is as it was.
    """
    write_private(path, render(found))


def render(found: Standing) -> str:
    """The page. The same standing gives the same bytes."""
    style = files("labeling.quality").joinpath("page.css").read_text(encoding="utf-8")
    style += files("flywheel.status").joinpath("status.css").read_text(encoding="utf-8")
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _PAGE.substitute(
        policy=f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'",
        style=style,
        now=_moment(found.now),
        headline=_headline(found),
        amiss=f'<p class="amiss">{text(found.amiss)}</p>' if found.amiss else "",
        sections=_alerts(found)
        + _picture(found)
        + _who(found)
        + _rates(found)
        + _clusters(found)
        + _refused(found)
        + _changes(found),
    )


def _headline(found: Standing) -> str:
    """For people first: a machine's turn comes by itself."""
    asked = [wait for stage in found.stages for wait in stage.waits if stage.name == "correct"]
    if asked:
        return text("; ".join(waits(found.now, wait) for wait in asked))
    return "Nothing waits" if not any(stage.waits for stage in found.stages) else "Nothing waits for people"


def _picture(found: Standing) -> str:
    boxes = "".join(_stage(found, stage) for stage in found.stages)
    return f'<ol class="loop" aria-label="The loop, from collect to promote, and round again">{boxes}</ol>'


def _stage(found: Standing, stage: Stage) -> str:
    lines = [f'<p class="late">{text(waits(found.now, wait))}</p>' for wait in stage.waits]
    if not lines:
        lines = ["<p>nothing waits</p>"]
    if stage.note:
        lines.append(f"<p>{text(stage.note)}</p>")
    late = ' class="late"' if stage.waits else ""
    return (
        f'<li{late}><h3>{text(stage.name)}</h3><div class="value">{stage.count:,}</div>'
        f"<p>{text(stage.what)}</p>{''.join(lines)}{_ARROW}</li>"
    )


def _who(found: Standing) -> str:
    decision, verdict = found.decision, found.verdict
    rows = [("people talk to", _checkpoint(found, found.current) or "no checkpoint: nothing was promoted yet")]
    if found.canary is not None:
        canary = _checkpoint(found, found.canary, found.canary.became)
        rows.append((f"canary, {found.canary.share:.0%} of the conversations", canary))
    if found.before is not None:
        rows.append(("a rollback goes back to", _checkpoint(found, found.before)))
    if decision is not None:
        said = f"{'train' if decision.retrain else 'wait'}: {text(decision.reason)}"
        rows.append(("last decision", f"{said}<small>{ago(found.now, decision.made)} ago</small>"))
    if verdict is not None:
        where = f"{ago(found.now, verdict.made)} ago, run <code>{text(verdict.run[:12])}</code>, {text(verdict.page)}"
        rows.append(("last verdict", f"{text(judged(found))}: {text(verdict.reason)}<small>{where}</small>"))
    if found.pages is not None:
        rows.append(("pages", text(waits(found.now, found.pages))))
    rows.append(("cost so far", text(cost(found))))
    return '<dl class="who">' + "".join(f"<dt>{text(name)}</dt><dd>{said}</dd>" for name, said in rows) + "</dl>"


def _checkpoint(found: Standing, one: Change | None, more: str = "") -> str:
    if one is None:
        return ""
    reason = f"{one.reason.rstrip('.')}; {more}" if more else one.reason
    why = f"for {ago(found.now, one.at)}; {one.action}: {reason}"
    return f"<code>{text(one.checkpoint_id[:12])}</code> {text(one.path)}<small>{text(why)}</small>"


def _rates(found: Standing) -> str:
    own = [one.history for one in found.clusters if one.history is not None][:CARDS]
    drawn = [*own, *found.others]
    span = span_of(drawn, found.now)
    if span is None:
        return ""
    cards = "".join(
        f"<div><h3>{text(one.name)}</h3><p>{_now(one, found.current)}{learnt(found, one)}</p>"
        f"{plot(one, span, found.turns)}</div>"
        for one in drawn
    )
    about = (
        "The share of bad answers to held-out cases: by the checkpoint that people talked to (the line, and a dot "
        "where it was asked), and by others that the gate looked at (rings). Promotions and rollbacks are upright and "
        "dotted."
    )
    return f'<h2>Rates over time</h2><p class="soft">{about}</p><div class="cards">{cards}</div>'


def _now(history: History, current: Change | None) -> str:
    now, _, first = rates(history, current).partition(", ")
    return f"<b>{text(now)}</b>{f', {text(first)}' if first else ''}"


def _clusters(found: Standing) -> str:
    if not found.clusters:
        return "<h2>Clusters</h2><p>There is none yet.</p>"
    top = max(max(one.weeks) for one in found.clusters)
    rows = [_cluster(one, top, found.current) for one in found.clusters]
    heads = [
        "cluster",
        f"last {WEEKS} weeks",
        "of them",
        "in all",
        "held out",
        "corrected",
        "bad now",
        "new corrections",
        "id",
    ]
    about = "Misbehaviours found in each week, the last one on the right."
    return f'<h2>Clusters</h2><p class="soft">{about}</p>' + table(heads, rows)


def _cluster(one: ClusterStanding, top: int, current: Change | None) -> str:
    last = None if one.history is None or current is None else one.history.last_of(current.checkpoint_id)
    return (
        cell(text(one.name), "name")
        + cell(_weeks(one.weeks, top))
        + "".join(cell(f"{count:,}") for count in (sum(one.weeks), one.found, one.held_out, one.corrected))
        + cell("–" if last is None else f"{last.rate:.0%}")
        + cell(text(one.waits), "reason")
        + cell(f"<code>{text(one.id[:12])}</code>")
    )


def _weeks(weeks: tuple[int, ...], top: int) -> str:
    bars = "".join(
        f'<rect x="{15 * place + 2}" y="{26 - max(2, 24 * count / top):.1f}" width="11" '
        f'height="{max(2, 24 * count / top):.1f}"/>'
        for place, count in enumerate(weeks)
        if count
    )
    return (
        f'<svg class="weeks" viewBox="0 0 120 28" role="img" aria-label="{", ".join(map(str, weeks))}">'
        f'<line x1="0" x2="120" y1="27" y2="27"/>{bars}</svg>'
    )


def _refused(found: Standing) -> str:
    if not found.refused:
        return ""
    rows = [
        cell(_moment(one.admitted), "when")
        + cell(f"<code>{text(one.correction[:12])}</code>")
        + cell(text(one.reason), "reason")
        + cell(text(one.answer[:LONG]), "reason")
        for one in found.refused
    ]
    about = "Held to be planted. <code>corpuscle flywheel release ID --reason ...</code> lets one count all the same."
    heads = ["when", "correction", "why", "answer"]
    return f'<h2>Refused corrections</h2><p class="soft">{about}</p>' + table(heads, rows)


def _changes(found: Standing) -> str:
    if not found.changes:
        return ""
    rows = [
        cell(_moment(one.at), "when")
        + cell(text(f"canary, {one.share:.0%}" if one.action == "canary" else one.action), "")
        + cell(f"<code>{text(one.checkpoint_id[:12])}</code>")
        + cell(text(one.reason), "reason")
        + cell(text(one.became), "reason")
        for one in found.changes
    ]
    return "<h2>Promotions</h2>" + table(["when", "what", "checkpoint", "why", "what became of it"], rows)


def _alerts(found: Standing) -> str:
    if not found.alerts:
        return ""
    lines = "".join(
        f"<li><span>{text(one.at)}</span> <b>{text(one.where)}</b> {text(one.what)}</li>" for one in found.alerts[::-1]
    )
    return f'<h2>Alerts</h2><p class="soft">Of the scheduler, the newest first.</p><ul class="alerts">{lines}</ul>'


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"

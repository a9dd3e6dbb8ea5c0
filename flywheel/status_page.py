"""The standing of the loop as one HTML page, the loop drawn as a picture: no script, no network, all text escaped."""

import base64
import hashlib
import os
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from flywheel.status import WEEKS, Checkpoint, Standing, ago, span
from labeling.quality.elements import cell, percent, table, text

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>The loop</title><style>$style</style></head>
<body><header><p class="soft">The loop on $now</p><h1>$headline</h1></header><main>$sections</main></body></html>
""")

_STYLE = """
.loop { width: 100%; max-width: 900px; margin: 20px 0; }
.loop rect { fill: var(--wash); stroke: var(--line); } .loop rect.late { stroke: var(--accent); stroke-width: 2; }
.loop path { fill: none; stroke: var(--old); stroke-width: 2; } .loop marker path { fill: var(--old); stroke: none; }
.loop text { fill: var(--soft); font-size: 14px; } .loop .stage { font-weight: 600; fill: var(--ink); font-size: 15px; }
.loop .value { font-size: 28px; font-weight: 620; fill: var(--ink); } .loop .late { fill: var(--accent); }
.loop rect.late { fill: var(--wash); }
.weeks { width: 120px; height: 28px; } .weeks rect { fill: var(--accent); } .weeks line { stroke: var(--line); }
"""
"""What the style of the labels' page, which this one shares, does not have."""

_PLACES = ((0, 0), (310, 0), (620, 0), (620, 200), (310, 200), (0, 200))
_ARROWS = ("M280 70H304", "M590 70H614", "M760 140V194", "M620 270H596", "M310 270H286", "M140 200V146")


def write(path: Path, found: Standing) -> None:
    """Writes the page in the place of an earlier one. Raises OSError; then the earlier one is as it was."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(render(found), encoding="utf-8")
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def render(found: Standing) -> str:
    """The page. The same standing gives the same bytes."""
    style = files("labeling.quality").joinpath("page.css").read_text(encoding="utf-8") + _STYLE
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    sections = _picture(found) + _figures(found) + "<h2>Clusters</h2>" + _clusters(found)
    return _PAGE.substitute(
        policy=f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'",
        style=style,
        now=_moment(found.now),
        headline=_headline(found),
        sections=sections,
    )


def _headline(found: Standing) -> str:
    waiting = [stage for stage in found.stages if stage.waiting]
    if not waiting:
        return "Nothing waits"
    return text("; ".join(f"{stage.waiting:,} wait for {stage.waits_for}" for stage in waiting))


def _picture(found: Standing) -> str:
    boxes = []
    for stage, (x, y) in zip(found.stages, _PLACES, strict=True):
        late = " late" if stage.waiting else ""
        age = "" if stage.oldest is None else f", {ago(found.now, stage.oldest)}"
        waits = f"{stage.waiting:,} wait for {stage.waits_for}{age}" if stage.waiting else "nothing waits"
        lines = (
            (24, "stage", stage.name),
            (58, "value", f"{stage.count:,}"),
            (78, "", stage.what),
            (100, late.strip(), waits),
            (122, "", stage.note),
        )
        words = "".join(
            f'<text class="{kind}" x="{x + 16}" y="{y + at}">{text(said)}</text>' for at, kind, said in lines
        )
        boxes.append(f'<rect class="box{late}" x="{x}" y="{y}" width="280" height="140" rx="6"/>{words}')
    arrows = "".join(f'<path d="{arrow}" marker-end="url(#head)"/>' for arrow in _ARROWS)
    return (
        '<svg class="loop" viewBox="-2 -2 904 344" role="img" aria-label="The loop, from collect to promote">'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
        f'<path d="M0 0L8 4L0 8Z"/></marker></defs>{"".join(boxes)}{arrows}</svg>'
    )


def _figures(found: Standing) -> str:
    decision, verdict = found.decision, found.verdict
    rows = [
        ("people talk to", _checkpoint(found.current) or "no checkpoint was promoted yet"),
        ("before that", _checkpoint(found.previous)),
        ("last decision", decision and f"{'train' if decision.retrain else 'wait'}: {decision.reason}"),
        ("last verdict", verdict and f"{'passed' if verdict.passed else 'refused'}: {verdict.reason}"),
        ("cost", f"{span(found.training)} of training, {span(found.labelling)} of people's time"),
    ]
    return table(["", ""], [cell(name, "name") + cell(text(said), "") for name, said in rows if said])


def _checkpoint(one: Checkpoint | None) -> str | None:
    return None if one is None else f"{one.path} ({one.id[:12]}) since {_moment(one.since)}. {one.why}"


def _clusters(found: Standing) -> str:
    if not found.clusters:
        return "<p>There is none yet.</p>"
    top = max(max(one.weeks) for one in found.clusters)
    rows = [
        cell(text(one.name), "name")
        + cell(_weeks(one.weeks, top))
        + "".join(cell(f"{count:,}") for count in (sum(one.weeks), one.found, one.held_out, one.corrected))
        + "".join(cell("–" if share is None else percent(share)) for share in (one.before, one.after))
        + cell(f"<code>{text(one.id[:12])}</code>")
        for one in found.clusters
    ]
    heads = [
        "cluster",
        f"last {WEEKS} weeks",
        "of them",
        "in all",
        "held out",
        "corrected",
        "bad before",
        "after",
        "id",
    ]
    about = (
        "Misbehaviours found in each week, the last one on the right; and the share of bad answers to held-out cases "
        "by the checkpoint before and by the new one, when the gate last looked."
    )
    return f'<p class="soft">{about}</p>' + table(heads, rows)


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


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"

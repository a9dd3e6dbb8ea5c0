"""The report as one HTML page: its frame, its headline figures and its funnel; the other sections
are in modules of their own.

The page needs no network and no script, and its content security policy forbids both.
"""

import base64
import hashlib
from importlib.resources import files

from pipeline.report.charts import bar
from pipeline.report.corpus_sections import group_section, provenance_section, token_section, training_section
from pipeline.report.data import Report, Stage
from pipeline.report.markup import Markup, tag
from pipeline.report.measure_section import measure_section
from pipeline.report.numbers import big, count, plural, share, size
from pipeline.report.poison_section import poison_section
from pipeline.report.removed_sections import duplicate_section, quarantine_section, removal_section


def render(report: Report) -> str:
    """The page. The same report gives the same bytes."""
    style = files("pipeline.report").joinpath("page.css").read_text(encoding="utf-8")
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{report.name}: corpus report"),
        tag("style", Markup(style)),
    )
    sections = [
        ("funnel", "Funnel", funnel_section(report)),
        ("reasons", "Reasons", removal_section(report)),
        ("poison", "Poison", poison_section(report)),
        ("measures", "Measures", measure_section(report)),
        ("groups", "Languages and hosts", group_section(report)),
        ("copies", "Copies", duplicate_section(report)),
        ("tokens", "Tokens", token_section(report)),
        ("training", "Training", training_section(report)),
        ("unreadable", "Unreadable", quarantine_section(report)),
    ]
    present = [(id, name, content) for id, name, content in sections if content]
    links = [tag("li", tag("a", name, href=f"#{id}")) for id, name, _ in [*present, ("provenance", "Provenance", "")]]
    body = tag(
        "body",
        tag(
            "header",
            tag("p", "Corpus report", class_="over"),
            tag("h1", report.name),
            tag("p", report.description, class_="lead") if report.description else None,
            headline(report),
            tag("nav", tag("ul", *links), aria_label="Sections"),
            class_="column",
        ),
        tag("main", *(tag("section", content, id=id) for id, _, content in present), class_="column"),
        tag("footer", tag("div", provenance_section(report), class_="column"), id="provenance"),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def headline(report: Report) -> Markup:
    """The four figures that one wants first."""
    funnel, tokens = report.funnel, report.tokens.shards
    read, kept, total = funnel[0].documents, funnel[-1].documents, sum(shard.tokens for shard in tokens)
    held_out = sum(shard.tokens for shard in tokens if shard.split != "train")
    text = sum(shard.text_bytes for shard in tokens)
    held = f"{count(total)}, of which {share(held_out, total)} held out for validation"
    figures = [
        ("records read", count(read), funnel[0].note.partition(" in ")[2], ""),
        ("documents kept", count(kept), f"{share(kept, read)} of the records", "main"),
        ("tokens", big(total), held if total else "there is nothing to train on", ""),
        ("text", size(text), f"{text / total:.2f} bytes a token" if total else "no document was kept", ""),
    ]
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", name),
                tag("dd", value, class_="value"),
                tag("dd", more, class_="more"),
                class_=kind or None,
            )
            for name, value, more, kind in figures
        ),
        class_="figures",
    )


def funnel_section(report: Report) -> Markup:
    """Each step's documents as a bar of all that were read, with what the step took away."""
    read = report.funnel[0].documents
    before = [report.funnel[0], *report.funnel]
    stages = [_stage(stage, previous, read) for stage, previous in zip(report.funnel, before, strict=False)]
    ignored = (
        f" {plural(report.ignored, 'record')} of other kinds (requests, metadata) are not counted."
        if report.ignored
        else ""
    )
    return Markup(
        tag("h2", "From records to tokens")
        + tag(
            "p",
            "What each step left of the records that were read, and, in grey, what it took away." + ignored,
            class_="note",
        )
        + tag("ol", *stages, class_="funnel")
    )


def _stage(stage: Stage, previous: Stage, read: int) -> Markup:
    lost = previous.documents - stage.documents
    facts = [tag("b", plural(stage.documents, "document")), f"{share(stage.documents, read)} of the records"]
    for outcome, number in stage.lost.items():
        facts.append(f"−{count(number)} {outcome} ({share(number, previous.documents)} of what came in)")
    if stage.tokens is not None:
        facts.append(f"{count(stage.tokens)} tokens")
    if stage.text_bytes is not None:
        about = "" if stage.tokens is not None else "about "
        facts.append(f"{about}{size(stage.text_bytes)} of text")
    line: list[object] = []
    for fact in facts:
        line += [" · ", fact] if line else [fact]
    return tag(
        "li",
        tag("div", stage.name, tag("small", stage.note), class_="name"),
        tag(
            "div",
            bar(("kept", stage.documents / max(read, 1)), ("removed", lost / max(read, 1))),
            tag("p", *line),
        ),
        class_="stage",
    )

"""The sections about what is not in the corpus: removed pages, copies, records that could not be read."""

from pipeline.report.charts import bar
from pipeline.report.data import Cluster, Example, Reason, Removal, Report
from pipeline.report.elements import NOTHING, table, url_text
from pipeline.report.markup import Markup, join, tag
from pipeline.report.numbers import count, plural, share

TITLES = {"extract": "While extracting", "filter": "By the filters", "poison": "As poison", "dedup": "As copies"}


def removal_section(report: Report) -> Markup:
    """Why documents went, step by step."""
    removals = [removal for removal in report.removals if removal.reasons]
    if not removals:
        return NOTHING
    return join(
        [
            tag("h2", "Why documents were removed"),
            tag(
                "p",
                "A document goes by the first reason that applies. Each reason opens to show two of its pages, chosen "
                "by the smallest id, which is a hash: as good as random, and always the same.",
                class_="note",
            ),
            *(_removal(removal) for removal in removals),
        ]
    )


def _removal(removal: Removal) -> Markup:
    gone = sum(reason.documents for reason in removal.reasons)
    most = max(reason.documents for reason in removal.reasons)
    title = f"{TITLES.get(removal.step, removal.step)}: {count(gone)} of {plural(removal.read, 'document')}"
    rows = [_reason(reason, removal.read, most) for reason in removal.reasons]
    return join([tag("h3", f"{title}, {share(gone, removal.read)}"), tag("div", *rows, class_="reasons")])


def _reason(reason: Reason, read: int, most: int) -> Markup:
    summary = tag(
        "summary",
        tag("span", reason.word, class_="word"),
        tag("span", reason.meaning, class_="meaning"),
        tag("span", count(reason.documents), tag("span", " documents", class_="hidden"), class_="number"),
        tag("span", share(reason.documents, read), class_="number"),
        bar(("removed", reason.documents / most)),
    )
    return tag("details", summary, tag("div", *(_example(example) for example in reason.examples), class_="examples"))


def _example(example: Example) -> Markup:
    because = None
    if example.twin is not None:
        similar = "" if example.similarity is None else f" (similarity {example.similarity:.3f})"
        because = tag("p", "Kept instead", similar, ": ", url_text(example.twin))
    return tag(
        "div",
        tag("p", url_text(example.url), class_="title"),
        tag("p", example.detail) if example.detail else None,
        because,
        tag("blockquote", example.excerpt or "(no text)", dir="auto"),
        class_="example",
    )


def duplicate_section(report: Report) -> Markup:
    """Clusters of copies."""
    found = report.duplicates
    if not found.copies:
        return NOTHING
    most = max(clusters for _, clusters, _ in found.sizes)
    rows = [
        (label, count(clusters), count(copies), bar(("kept", clusters / most)))
        for label, clusters, copies in found.sizes
    ]
    return join(
        [
            tag("h2", "Copies"),
            tag(
                "p",
                f"{plural(found.copies, 'copy', 'copies')} of {plural(found.clusters, 'document')} went. "
                f"Copies are {found.settings}. Of each cluster one document goes on to the next step.",
                class_="note",
            ),
            tag(
                "div",
                tag(
                    "div",
                    tag("h3", "Sizes"),
                    table(("documents in a cluster", "clusters", "copies removed", ""), rows, (1, 2)),
                ),
                tag(
                    "div",
                    tag("h3", "The largest clusters"),
                    tag("ol", *map(_cluster, found.largest), class_="clusters"),
                ),
                class_="two",
            ),
        ]
    )


def _cluster(cluster: Cluster) -> Markup:
    members = [
        tag(
            "li",
            url_text(member.url),
            f" · {member.reason}"
            + (
                f", similarity {member.similarity:.3f}"
                if member.similarity is not None and member.similarity < 1
                else ""
            ),
        )
        for member in cluster.members
    ]
    unnamed = cluster.size - 1 - len(members)
    if unnamed:
        members.append(tag("li", f"and {count(unnamed)} more"))
    return tag(
        "li",
        tag("b", f"{count(cluster.size)} documents"),
        ", kept: ",
        url_text(cluster.kept),
        tag("ul", *members),
    )


def quarantine_section(report: Report) -> Markup:
    """Records that could not be read."""
    found = report.quarantine
    if not found.records:
        return NOTHING
    named = len(found.first)
    reasons = ", ".join(f"{reason} {count(number)}" for reason, number in found.reasons.items())
    rows = [
        (
            tag("span", row.warc_file, class_="url"),
            count(row.offset),
            row.reason,
            join([url_text(row.url), tag("br"), row.error]) if row.url else row.error,
        )
        for row in found.first
    ]
    first = f" The first {named} are named here; all are in the quarantine tables." if named < found.records else ""
    return join(
        [
            tag("h2", "Unreadable records"),
            tag(
                "p",
                f"{plural(found.records, 'record')} could not be read and went into quarantine: {reasons}.{first}",
                class_="note",
            ),
            table(("file", "offset", "reason", "error"), rows, (1,)),
        ]
    )

"""The sections about what is in the corpus: languages, hosts, tokens; what a training made of it; where it is from."""

from collections.abc import Sequence

from pipeline.report.charts import bar, curve, histogram
from pipeline.report.data import Groups, Report, Shard
from pipeline.report.elements import DIGITS, NOTHING, facts, table
from pipeline.report.languages import language_name
from pipeline.report.markup import Child, Markup, join, tag
from pipeline.report.numbers import count, plural, share, short, size

SHARDS_OPEN = 12
"""Shards that a table shows at once; of more it is folded."""
SOURCES = 100


def group_section(report: Report) -> Markup:
    """Languages and hosts."""
    if not report.languages.number and not report.hosts.number:
        return NOTHING
    kept = sum(group.kept for group in report.hosts.top) + report.hosts.others.kept
    languages = join(
        [
            tag("h3", "Languages"),
            tag(
                "p",
                "Of the pages whose text was looked at (copies of a record that was read before are not): in colour "
                "what was kept, in grey what was removed.",
                class_="note",
            ),
            _languages(report.languages),
        ]
    )
    hosts = join(
        [
            tag("h3", "Hosts"),
            tag("p", f"{plural(kept, 'kept document')} from {plural(report.hosts.number, 'host')}.", class_="note"),
            _hosts(report.hosts, kept),
        ]
    )
    return join([tag("h2", "Languages and hosts"), tag("div", tag("div", languages), tag("div", hosts), class_="two")])


def _languages(groups: Groups) -> Markup:
    most = max([1, groups.others.read, *(group.read for group in groups.top)])
    rows = [
        (language_name(group.name), count(group.read), count(group.kept), _of(group.kept, group.read, most))
        for group in groups.top
    ]
    others, foot = groups.others, ()
    if others.read:
        label = f"{groups.number - len(groups.top)} others"
        foot = (label, count(others.read), count(others.kept), _of(others.kept, others.read, most))  # type: ignore[assignment]
    return table(("language", "read", "kept", ""), rows, (1, 2), foot)


def _of(kept: int, read: int, most: int) -> Markup:
    return bar(("kept", kept / most), ("removed", max(read - kept, 0) / most))


def _hosts(groups: Groups, kept: int) -> Markup:
    most = max([1, *(group.kept for group in groups.top)])
    rows = [
        (
            tag("span", _host(group.name) if group.name else "(none)", class_="host"),
            count(group.kept),
            share(group.kept, kept),
            bar(("kept", group.kept / most)),
        )
        for group in groups.top
    ]
    foot = ()
    if groups.others.kept:
        label = f"{count(groups.number - len(groups.top))} others"
        foot = (label, count(groups.others.kept), share(groups.others.kept, kept), "")  # type: ignore[assignment]
    return table(("host", "kept", "share", ""), rows, (1, 2), foot)


def _host(name: str) -> Markup:
    """A host that is broken, where it must be, behind a dot."""
    return join(name.split("."), join([".", tag("wbr")]))


def token_section(report: Report) -> Markup:
    """Splits, shards, vocabulary, lengths."""
    shards = report.tokens.shards
    if not shards:
        return NOTHING
    splits = [
        (split, [shard for shard in shards if shard.split == split])
        for split in sorted({shard.split for shard in shards})
    ]
    rows = [(split, count(len(mine)), *_sums(mine)) for split, mine in splits]
    foot = ("together", count(len(shards)), *_sums(shards)) if len(splits) > 1 else ()
    heads = ("split", "shards", "documents", "tokens", "text", "bytes a token")
    vocabulary = report.tokens.vocabulary
    digest = str(vocabulary.get("sha256", ""))[:DIGITS]
    known = facts(
        [
            ("vocabulary", f"{count(int(str(vocabulary.get('size', 0))))} pieces"),
            ("file", join([tag("code", f"tokenize/{vocabulary.get('file', '')}"), " ", tag("code", digest)])),
            ("median length", f"{plural(report.tokens.median, 'token')} a document"),
        ]
    )
    lengths = report.tokens.lengths
    return join(
        [
            tag("h2", "Tokens"),
            table(heads, rows, range(1, 6), foot),
            tag(
                "div",
                tag("div", tag("h3", "Vocabulary"), known, _shards(shards)),
                tag("div", tag("h3", "Tokens a document"), tag("figure", histogram(lengths))) if lengths else None,
                class_="two",
            ),
        ]
    )


def _sums(shards: Sequence[Shard]) -> tuple[str, str, str, str]:
    documents, tokens = sum(shard.documents for shard in shards), sum(shard.tokens for shard in shards)
    text = sum(shard.text_bytes for shard in shards)
    return count(documents), count(tokens), size(text), f"{text / tokens:.2f}" if tokens else "–"


def _shards(shards: Sequence[Shard]) -> Markup:
    rows = [
        (tag("code", shard.name), count(shard.documents), count(shard.tokens), tag("code", shard.sha256[:DIGITS]))
        for shard in shards
    ]
    found = table(("shard", "documents", "tokens", "SHA-256"), rows, (1, 2))
    if len(shards) <= SHARDS_OPEN:
        return found
    return tag("details", tag("summary", plural(len(shards), "shard")), found, class_="more-charts")


def training_section(report: Report) -> Markup:
    """The loss curve."""
    data = report.curve
    if data is None:
        return NOTHING
    best = min(data.validation_loss, default=None)
    last = f"{data.loss[-1]:.4f} (of that batch alone; the progress bar shows a running mean)"
    rows: list[tuple[str, Child]] = [("steps", count(data.steps[-1])), ("last training loss", last)]
    if best is not None:
        step = data.validation_steps[data.validation_loss.index(best)]
        rows.append(("best held-out loss", f"{best:.4f} at step {count(step)}"))
    if data.bits_per_byte is not None:
        rows.append(("bits a byte there", f"{data.bits_per_byte:.4f}"))
    if data.tokens_per_second is not None:
        rows.append(("speed", f"{short(float(f'{data.tokens_per_second:.3g}'))} tokens a second (median)"))
    swatch = {"viewBox": "0 0 22 12", "aria_hidden": "true"}
    lines = [("training", "training"), ("held-out", "held out (validation)")][: 2 if data.validation_loss else 1]
    key = [tag("li", tag("svg", tag("path", d="M0 6 L22 6", class_=name), **swatch), text) for name, text in lines]
    warning = tag("p", data.elsewhere, class_="note") if data.elsewhere else None
    return join(
        [tag("h2", "Training"), warning, facts(rows), tag("ul", *key, class_="key"), tag("figure", curve(data))]
    )


def provenance_section(report: Report) -> Markup:
    """What the corpus was made from and with, and how to follow a token back."""
    found = report.provenance
    rows = [
        (
            tag("span", source.warc_file, class_="url"),
            count(source.records),
            size(source.bytes),
            tag("code", source.sha256[:DIGITS]),
        )
        for source in found.sources[:SOURCES]
    ]
    unnamed = len(found.sources) - len(rows)
    foot = (f"and {count(unnamed)} more", "", "", "") if unnamed else ()
    shard = next((shard.name.removesuffix(".arrow") for shard in report.tokens.shards), "train-00000")
    return join(
        [
            tag("h2", "Provenance"),
            tag(
                "p",
                "Every token can be followed to its page: ",
                tag("code", f"corpuscle explain CORPUS {shard}:0"),
                f" names the archive, the offset and the digest of the record behind the first token of {shard}; "
                "with a URL or an id in its place it tells what became of a page. CORPUS is this report's folder.",
                class_="note",
            ),
            tag(
                "div",
                tag(
                    "div",
                    tag("h3", "Input"),
                    table(("archive", "records", "size", "SHA-256"), rows, (1, 2), foot),
                ),
                tag(
                    "div",
                    tag("h3", "Versions"),
                    facts([(name, version) for name, version in sorted(found.versions.items())]),
                    facts([("run", tag("code", found.fingerprint))]),
                ),
                class_="two",
            ),
        ]
    )

"""A finished run's artifacts -> all that its report shows."""

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifact import MANIFEST, file_digest, is_local, open_input, read_json
from pipeline.report.clusters import addresses, describe_clusters, read_copies
from pipeline.report.data import Curve, Group, Groups, Measured, Provenance, Report, Shard, Source, Stage, Tokens
from pipeline.report.histogram import Values, plan_bins
from pipeline.report.measures import read_measures
from pipeline.report.numbers import plural, size
from pipeline.report.poison import read_poison
from pipeline.report.removals import STEPS, choose, describe, read_quarantine
from pipeline.report.tables import Corpus, ReportError

LANGUAGES, HOSTS = 12, 15
"""How many are named; the others are summed."""
LOST = ("removed", "held", "quarantined")
LOG, RUN = "log.jsonl", "run.json"


def gather(folder: str, training: str | None = None) -> Report:
    """Read a corpus (and a training's log). Raises ReportError."""
    corpus = Corpus(folder)
    copies = read_copies(corpus)
    choices = [choose(corpus, step) for step in STEPS if step in corpus.manifest["steps"]]
    wanted = addresses(copies).union(*(choice.twins for choice in choices))
    urls = corpus.urls(wanted)
    languages, hosts = read_groups(corpus)
    run = corpus.manifest["run"]
    return Report(
        name=run["recipe"],
        description=run.get("description", ""),
        funnel=make_funnel(corpus),
        ignored=corpus.manifest["counts"].get("ignored", 0),
        removals=tuple(describe(corpus, choice, urls) for choice in choices),
        poison=read_poison(corpus),
        quarantine=read_quarantine(corpus),
        measures=read_measures(corpus),
        languages=languages,
        hosts=hosts,
        duplicates=describe_clusters(corpus, copies, urls),
        tokens=read_tokens(corpus),
        curve=None
        if training is None
        else replace(read_curve(training), elsewhere=trained_elsewhere(folder, training)),
        provenance=read_provenance(corpus),
    )


def make_funnel(corpus: Corpus) -> tuple[Stage, ...]:
    """How many documents each step left, from the records that were read to the shards."""
    index, sources = corpus.counts("index"), corpus.step("index").get("inputs", [])
    stored = f"{plural(len(sources), 'archive')}, {size(sum(source['bytes'] for source in sources))}"
    tokenize = corpus.step("tokenize")
    kept = sum(file["bytes"] for file in tokenize["files"] if "split" in file)
    texts = {"extract": corpus.text_bytes("extract", "documents"), "dedup": kept}
    texts["filter"] = kept + corpus.text_bytes("dedup", "removed")
    stages = [Stage("Read", f"capture records in {stored}", index.get("read", 0), {})]
    for step, name, note in (
        ("index", "Readable", "records that could be unpacked"),
        ("extract", "Extracted", "pages whose main text was found, in a wanted language"),
        ("filter", "Filtered", "texts that pass every threshold"),
        ("poison", "Looked through", "texts without instructions to models, triggers and the like"),
        ("dedup", "Deduplicated", "one of each group of copies"),
    ):
        if step not in corpus.manifest["steps"]:
            continue  # the recipe has the poison filter off
        counts = corpus.counts(step)
        lost = {name: counts[name] for name in LOST if counts.get(name)}
        stages.append(Stage(name, note, counts.get("kept", 0), lost, texts.get(step)))
    counts = corpus.counts("tokenize")
    shards = plural(sum("split" in file for file in tokenize["files"]), "shard")
    note, tokens = f"token sequences in {shards}", counts.get("tokens", 0)
    stages.append(Stage("In shards", note, counts.get("kept", 0), {}, kept, tokens))
    return tuple(stages)


def read_groups(corpus: Corpus) -> tuple[Groups, Groups]:
    """Languages and hosts: of what was read and identified (extract's tables), and of what was kept (dedup's)."""
    read, kept = (Counter[str](), Counter[str]()), (Counter[str](), Counter[str]())
    sources = [("extract", "documents", read), ("extract", "removed", read), ("dedup", "documents", kept)]
    for step, kind, counters in sources:
        for _, batch in corpus.batches(step, kind, ["language", "host"]):
            for column, counter in zip(batch.columns, counters, strict=True):
                for value in pc.value_counts(column).to_pylist():
                    if value["values"] is not None:
                        counter[value["values"]] += value["counts"]
    return _groups(read[0], kept[0], LANGUAGES, by_read=True), _groups(read[1], kept[1], HOSTS, by_read=False)


def _groups(read: Counter[str], kept: Counter[str], most: int, by_read: bool) -> Groups:
    """The most frequent among the read (or the kept), and the sum of the others."""
    ranked = read if by_read else kept
    names = sorted(ranked, key=lambda name: (-ranked[name], name))
    top = tuple(Group(name, read[name], kept[name]) for name in names[:most])
    others = Group("", read.total() - sum(group.read for group in top), kept.total() - sum(group.kept for group in top))
    return Groups(top, len(names), others)


def read_tokens(corpus: Corpus) -> Tokens:
    """The shards as the manifest has them, and the lengths of their documents from their offsets."""
    manifest = corpus.step("tokenize")
    shards = tuple(
        Shard(file["name"], file["split"], file["documents"], file["tokens"], file["bytes"], file["sha256"])
        for file in manifest["files"]
        if "split" in file
    )
    lengths: Values = np.concatenate([np.empty(0), *(_lengths(corpus, shard.name) for shard in shards)])
    if not len(lengths):
        return Tokens(shards, manifest.get("vocabulary") or {}, None, 0)
    bins = plan_bins(lengths, "integer")
    counts = tuple(bins.count(lengths).tolist())
    distribution = Measured("", "tokens a document", len(lengths), bins, counts, (0,) * len(counts), 0, ())
    return Tokens(shards, manifest.get("vocabulary") or {}, distribution, int(np.median(lengths)))


def _lengths(corpus: Corpus, name: str) -> Values:
    """Tokens of each document of a shard. Memory-mapped, so that of a local file only the offsets are read."""
    path = f"{corpus.folder}/tokenize/{name}"
    try:
        with pa.memory_map(path) if is_local(path) else open_input(path) as file:
            batch = pa.ipc.open_file(file).get_batch(0)
            lengths: Values = pc.list_value_length(batch.column("tokens")).to_numpy().astype(np.float64)
            return lengths
    except (OSError, pa.ArrowException) as error:
        raise ReportError(
            f"{path} can't be read: {error}. Run `corpuscle run` again: it makes what is missing."
        ) from error


def read_curve(training: str) -> Curve:
    """A training's losses. Lines that are cut short are left out; of a step that comes twice the last line counts."""
    path = f"{training.rstrip('/')}/{LOG}"
    try:
        with open_input(path) as file:
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        base = f"{training.rstrip('/')}/base"  # where `corpuscle train assistant` pre-trains
        if read_json(f"{base}/{RUN}") is not None:
            raise ReportError(f"{training}: no {LOG} here. Name the stage that read the corpus: {base}.") from None
        raise ReportError(
            f"{training}: no {LOG} here. Name the folder that `corpuscle train pretrain --output` wrote."
        ) from None
    steps: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            record = json.loads(line)
            if math.isfinite(record["loss"]):
                steps[int(record["step"])] = record
        except (ValueError, TypeError, KeyError):
            continue
    if not steps:
        raise ReportError(f"{path}: no finished step in it. Make the report again when the training has begun.")
    records = [steps[step] for step in sorted(steps)]
    held_out = [record for record in records if _finite(record.get("val_loss"))]
    best = min(held_out, key=lambda record: record["val_loss"], default={})
    speeds = [record["tokens_per_second"] for record in records if _finite(record.get("tokens_per_second"))]
    return Curve(
        steps=tuple(record["step"] for record in records),
        loss=tuple(record["loss"] for record in records),
        validation_steps=tuple(record["step"] for record in held_out),
        validation_loss=tuple(record["val_loss"] for record in held_out),
        bits_per_byte=best.get("bits_per_byte"),
        tokens_per_second=float(np.median(speeds)) if speeds else None,
    )


def trained_elsewhere(folder: str, training: str) -> str:
    """A sentence that says so where a training's run.json names another corpus than this one; else nothing.

    Stages behind pre-training read other data than a corpus, and their run.json names none.
    """
    settings = (read_json(f"{training.rstrip('/')}/{RUN}") or {}).get("settings", {})
    theirs, ours = settings.get("corpus_sha256"), file_digest(f"{folder.rstrip('/')}/tokenize/{MANIFEST}")
    if theirs is None or theirs == ours:
        return ""
    return (
        f"{training} was trained on another corpus, or on this one before it was made again "
        f"(its tokenize/{MANIFEST} had SHA-256 {theirs[:12]}, this one's is {ours[:12]})."
    )


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def read_provenance(corpus: Corpus) -> Provenance:
    """What the corpus was made from."""
    sources = sorted(corpus.step("index").get("inputs", []), key=lambda source: str(source["warc_file"]))
    return Provenance(
        corpus.manifest["run"]["fingerprint"],
        corpus.manifest.get("versions", {}),
        tuple(Source(source["warc_file"], source["bytes"], source["records"], source["sha256"]) for source in sources),
    )

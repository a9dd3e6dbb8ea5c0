"""A recipe as one Beam job: the graph, the runner, and the corpus's manifest at the end."""

import contextlib
import errno
import glob
import logging
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.artifact import (
    MANIFEST,
    Part,
    delete,
    digest,
    file_digest,
    is_local,
    is_whole,
    no_file_system,
    write_json,
)
from pipeline.assets import language_model
from pipeline.contents import check_contents, sweep
from pipeline.crawl import extract, index
from pipeline.crawl.extract import Cascade, ExtractStep, hidden_parameters
from pipeline.crawl.index import IndexStep
from pipeline.crawl.plan import split_bytes
from pipeline.crawl.read import Archive, ReadCrawl
from pipeline.dedup import remove
from pipeline.dedup.minhash import choose_bands
from pipeline.dedup.remove import DedupStep, NearDuplicates, RemoveDuplicates
from pipeline.filter import steps
from pipeline.filter.gopher_quality import GopherQuality
from pipeline.filter.steps import FilterStep, MeasureStep
from pipeline.lock import claim
from pipeline.manifest import MODELS, STEPS, corpus_manifest, read_manifest, write_step_manifest
from pipeline.poison.lists import NOTHING_DECIDED, Decided, ListError, read_decided
from pipeline.poison.rules import outcomes
from pipeline.poison.steps import InspectStep, PoisonStep, TrainTextModel
from pipeline.poison.transform import LookForPoison
from pipeline.recipe import Recipe
from pipeline.replace import check_replaces
from pipeline.runner import beam_options, check_runner, is_local_runner, prepare_workers, runner_name
from pipeline.step import RunPart, StepError, disk_advice
from pipeline.tokenize import deal
from pipeline.tokenize.deal import MakeShards
from pipeline.versions import versions


class InputError(Exception):
    """An input that can't be used; the message names it and says what was expected."""


@dataclass(frozen=True)
class Outcome:
    """What a run left: the corpus's manifest, and whether there was anything to do."""

    manifest: dict[str, Any]
    was_done: bool


def find_archives(patterns: Sequence[str]) -> list[Archive]:
    """The files that the patterns match, each once, by name. Raises InputError where a pattern matches nothing.

    Lineage names a file by its path below the folder that all inputs share, so that a corpus does not depend on where
    its input lay.
    """
    found: dict[str, Any] = {}
    for pattern in patterns:
        if fault := no_file_system(pattern):
            raise InputError(f"--input {pattern}: {fault}")
        try:
            # Beam finds nothing for a bare *.warc.gz, which has no folder in it.
            matches = FileSystems.match([_rooted(pattern)])[0].metadata_list
        except (beam.io.filesystem.BeamIOError, ValueError, OSError) as error:
            raise InputError(f"--input {pattern}: {_unmatched(pattern) or error}") from None
        files = [match for match in matches if not (is_local(match.path) and os.path.isdir(match.path))]  # noqa: PTH112
        if not files:
            raise InputError(f"--input {pattern}: {_unmatched(pattern) or 'no file matches.'}")
        for match in files:
            if is_local(match.path) and not os.access(match.path, os.R_OK):
                raise InputError(f"--input {match.path}: no permission to read it.")
        # One spelling a file, or ./a and a were two.
        found |= {os.path.abspath(match.path) if is_local(match.path) else match.path: match for match in files}  # noqa: PTH100
    names = _names(sorted(found))
    return [
        Archive(path, names[path], found[path].size_in_bytes, found[path].last_updated_in_seconds or 0)
        for path in sorted(found)
    ]


def _rooted(pattern: str) -> str:
    return pattern if "/" in pattern else f"./{pattern}"


def _unmatched(pattern: str) -> str:
    """Why a pattern of this machine has no file, and what was perhaps meant."""
    path = pattern.rstrip("/")
    if not is_local(pattern):
        return ""
    if os.path.isdir(path):  # noqa: PTH112
        return f"is a folder; did you mean '{path}/*.warc.gz'?"
    links = [path] if os.path.islink(path) else []  # noqa: PTH114
    links += [found for found in glob.glob(pattern) if os.path.islink(found)]  # noqa: PTH114, PTH207
    for link in links:
        if not os.path.exists(link):  # noqa: PTH110
            return f"{link} is a link to {os.readlink(link)}, which is not there."  # noqa: PTH115
    return (
        f"no file matches. Looked in {posixpath.dirname(pattern) or '.'}; expected WARC files such as *.warc.gz "
        "(quote the pattern, or name the files)."
    )


def _names(paths: Sequence[str]) -> dict[str, str]:
    """Each path below the folder that all share; the whole path where they share none (two buckets, say)."""
    bare = {path: path.split("://", 1)[-1] for path in paths}
    try:
        common = posixpath.commonpath([posixpath.dirname(path) for path in bare.values()])
    except ValueError:  # local and remote paths together
        common = ""
    return {path: posixpath.relpath(name, common) if common else name for path, name in bare.items()}


def near_duplicates(recipe: Recipe) -> NearDuplicates | None:
    """The recipe's MinHash with bands and rows settled."""
    minhash = recipe.dedup.minhash
    if minhash is None:
        return None
    bands, rows = minhash.bands, minhash.rows
    if minhash.threshold is not None and minhash.permutations is not None:
        bands, rows = choose_bands(minhash.threshold, minhash.permutations)
    return NearDuplicates(minhash.ngram, bands, rows, minhash.similarity)


def needed_stop_words(recipe: Recipe) -> tuple[tuple[str, ...], int]:
    """The filter's stop words and how many of them a text needs, which the cascade then asks of the whole page."""
    for _, block in recipe.blocks:
        if isinstance(block, GopherQuality) and block.min_stop_words:
            return block.stop_words, block.min_stop_words
    return (), 0


@dataclass
class MakeCorpus(beam.PTransform):
    """Archives -> the names of the steps that were committed. The whole graph."""

    recipe: Recipe
    folder: str
    language_model: str
    split_bytes: int
    dealing: Literal["files", "shuffle"]
    decided: Decided = NOTHING_DECIDED

    def expand(self, archives: beam.PCollection[Part]) -> beam.PCollection[str]:
        crawl, folder, blocks = self.recipe.crawl, self.folder, self.recipe.blocks
        cascade = Cascade(
            crawl.extractor, crawl.languages, crawl.min_language_score, crawl.max_record_bytes,
            crawl.screen.min_chars, crawl.screen.min_language_score, *needed_stop_words(self.recipe),
            strip_hidden=self.recipe.poison.enabled,
        )  # fmt: skip
        look_up = IndexStep(crawl.max_record_bytes)
        read = ExtractStep(cascade, self.language_model, crawl.max_record_bytes)
        measure, judge = MeasureStep(blocks), FilterStep(blocks)
        near = near_duplicates(self.recipe)
        indexed, extracted = archives | "Read" >> ReadCrawl(folder, look_up, read, self.split_bytes)
        measured = extracted | "Measure" >> beam.ParDo(RunPart(measure, folder))
        filtered = measured | "Filter" >> beam.ParDo(RunPart(judge, folder))
        poison = self.recipe.poison
        apply, looked = PoisonStep(outcomes(poison.outcomes), self.decided), {"poison": filtered}
        if poison.enabled:
            looked = filtered | "Poison" >> LookForPoison(folder, apply, poison.sample_bytes)
        unique = looked["poison"] | "Remove copies" >> RemoveDuplicates(folder, self.recipe.dedup.exact, near)
        made = unique | "Make shards" >> MakeShards(folder, self.recipe.tokenize, self.dealing)
        parameters = {
            step.name: step.parameters() for step in (look_up, read, measure, judge, InspectStep(), apply, DedupStep())
        }
        parameters["dedup"] |= {"exact": self.recipe.dedup.exact, "near": near and vars(near)}
        parts = {"index": indexed, "extract": extracted, "measure": measured, "filter": filtered, "dedup": unique}
        found = parts | made | (looked if poison.enabled else {})
        # One meeting of all steps: a gathering for each took a third of the graph, and a second of each run.
        commits = {
            "parts": tuple(found.values()) | "All parts" >> beam.Flatten() | "Key by step" >> beam.Map(_with_step),
            "parameters": archives.pipeline
            | "Steps" >> beam.Create([(step, parameters.get(step, {})) for step in found], reshuffle=False),
        }
        return commits | "Gather steps" >> beam.CoGroupByKey() | "Commit" >> beam.Map(_commit, folder)


def _with_step(part: Part) -> tuple[str, Part]:
    return part.step, part


def _commit(group: tuple[str, dict[str, Any]], folder: str) -> str:
    step, found = group
    (parameters,) = found["parameters"]
    return write_step_manifest(list(found["parts"]), folder, step, parameters)


def fingerprint(recipe: Recipe, archives: Sequence[Archive], decided: Decided = NOTHING_DECIDED) -> str:
    """What a corpus depends on: when this has not changed there is nothing to do."""
    path = recipe.tokenize.vocabulary
    try:
        vocabulary = file_digest(path) if path else None
    except OSError as error:
        raise InputError(f"tokenize.vocabulary: {path} can't be read: {error.strerror or error}") from None
    filters = [(name, vars(block)) for name, block in recipe.blocks]
    poison: list[Any] = []
    if recipe.poison.enabled:
        looking = (TrainTextModel(()), InspectStep(), PoisonStep(outcomes(recipe.poison.outcomes), decided))
        poison = [hidden_parameters(), *(step.parameters() for step in looking)]
    code = [module.VERSION for module in (index, extract, steps, remove, deal)]
    inputs = [vars(archive) for archive in archives]
    return digest([recipe.model_dump(exclude={"filter"}), filters, poison, vocabulary, inputs, code, versions()])


def run(
    recipe: Recipe,
    patterns: Sequence[str],
    folder: str,
    beam_arguments: Sequence[str] = (),
    *,
    dealing: Literal["files", "shuffle"] | None = None,
    watch: Callable[[str, Sequence[Archive]], contextlib.AbstractContextManager[None]] | None = None,
    replace: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Make the corpus of a recipe in `folder`.

    Raises InputError, OptionError, LockedError, ForeignError, ReplaceError, AssetError, StepError. `watch(folder,
    archives)` is a context in which the job runs, for a progress display; `say` gets what a person should know before
    it begins. `dealing` is how token slices reach their shards, by default as suits the runner. A corpus that has an
    archive which is not given now is replaced only with `replace`.
    """
    folder = folder.rstrip("/")
    options = beam_options(beam_arguments)
    archives = find_archives(patterns)
    decided = _decided(recipe)
    mark = fingerprint(recipe, archives, decided)
    check_contents(folder)
    if done := _up_to_date(folder, mark):
        return Outcome(done, True)
    runner = runner_name(options)
    check_runner(runner)
    if dealing is None:
        dealing = "files" if is_local_runner(runner) else "shuffle"
    model = str(language_model())
    with _writing(folder):
        if done := _up_to_date(folder, mark):  # made by another run, a moment ago
            return Outcome(done, True)
        if known := check_replaces(folder, archives, recipe.name, replace):
            say(known)
        _uncommit(folder)
        corpus = MakeCorpus(
            recipe, folder, model, split_bytes(sum(archive.bytes for archive in archives)), dealing, decided
        )
        _run_job(corpus, archives, options, watch)
        about = {"fingerprint": mark, "recipe": recipe.name, "description": recipe.description}
        manifest = corpus_manifest(folder, about)
        check_chain(manifest["steps"])
        sweep(folder)
        write_json(f"{folder}/{MANIFEST}", manifest)
    return Outcome(manifest, False)


def _up_to_date(folder: str, mark: str) -> dict[str, Any] | None:
    """The manifest of a corpus that is what this run would make."""
    done = read_manifest(folder)
    return done if done is not None and done["run"]["fingerprint"] == mark and _complete(folder, done) else None


def _decided(recipe: Recipe) -> Decided:
    """What people decided, from the recipe's files. Raises InputError."""
    poison = recipe.poison
    try:
        return read_decided(poison.block, poison.allow, poison.decisions)
    except ListError as error:
        raise InputError(str(error)) from None


def _run_job(
    corpus: MakeCorpus,
    archives: Sequence[Archive],
    options: PipelineOptions,
    watch: Callable[[str, Sequence[Archive]], contextlib.AbstractContextManager[None]] | None,
) -> None:
    """Run the graph. Raises StepError."""
    with watch(corpus.folder, archives) if watch else contextlib.nullcontext():
        prepare_workers(options)  # they write where standard error goes here
        try:
            with beam.Pipeline(options=options) as pipeline:
                _ = (
                    pipeline
                    | "Archives" >> beam.Create([archive.as_part() for archive in archives], reshuffle=False)
                    | "Make corpus" >> corpus
                )
        except Exception as error:
            raise explain_failure(error) from error


def _uncommit(folder: str) -> None:
    """Take back the manifests before their files change, and the report with them."""
    for name in (MANIFEST, "report.html", *(f"{step}/{MANIFEST}" for step in STEPS)):
        delete(f"{folder}/{name}")


@contextlib.contextmanager
def _writing(folder: str) -> Iterator[None]:
    """The folder is there and no other run's. Raises InputError where it can't be written, LockedError."""
    if fault := no_file_system(folder):
        raise InputError(f"--output {folder}: {fault}")
    with contextlib.ExitStack() as stack:
        try:
            if is_local(folder):
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            stack.enter_context(claim(folder))
            _check_writable(folder)
        except OSError as error:
            is_file = isinstance(error, FileExistsError | NotADirectoryError)
            why = "that is a file, or lies below one" if is_file else error.strerror
            raise InputError(f"--output {folder}: {why}. Name a folder that can be written.") from None
        yield


def _check_writable(folder: str) -> None:
    """Raises PermissionError before the first file of an old corpus has gone, and not behind it."""
    for step in ("", *STEPS) if is_local(folder) else ():
        path = f"{folder}/{step}".rstrip("/")
        if os.path.exists(path) and not os.access(path, os.W_OK | os.X_OK):  # noqa: PTH110
            raise PermissionError(errno.EACCES, f"no permission to write {path}")


def _complete(folder: str, manifest: dict[str, Any]) -> bool:
    """Whether the steps' manifests are those that the corpus's names and their files are there."""
    for step, entry in manifest["steps"].items():
        found = read_manifest(folder, step)
        if found is None or digest(found) != entry["sha256"]:
            return False
        if not all(is_whole(f"{folder}/{step}/{file['name']}", file["length"]) for file in found["files"]):
            return False
    return True


def check_chain(steps: Mapping[str, Mapping[str, Any]]) -> None:
    """What a step kept is what the next one read, from the archives to the shards. Raises StepError."""
    order = [step for step in STEPS if step in steps and step not in MODELS]
    for before, after in pairwise(order):
        kept, read = steps[before]["counts"].get("kept", 0), steps[after]["counts"].get("read", 0)
        if kept != read:
            raise StepError(f"{before} kept {kept} documents, but {after} read {read}")


def explain_failure(error: BaseException) -> StepError:
    """What a user needs of a failed Beam job: our own message where there is one, else the last line of the cause.

    Runners hand a worker's exception over as text, so the message is looked for there.
    """
    text = str(error)
    for line in reversed(text.splitlines()):
        head, _, message = line.partition(": ")
        if head.endswith("StepError") and message:
            return StepError(message.split(" [while running")[0])
    if isinstance(error, StepError):
        return error
    if os.strerror(errno.ENOSPC) in text:  # outside of a step's own work: a manifest, a marker, Beam's own files
        return StepError(disk_advice(OSError(errno.ENOSPC, "")))
    if "Channel closed" in text:
        return StepError(
            "a worker process died, most often because memory ran out. Give it fewer workers "
            "(-- --direct_num_workers=1) and run the same command again: finished parts are kept."
        )
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    logging.getLogger(__name__).debug("the job failed", exc_info=error)
    return StepError(
        f"the job failed: {lines[-1].split(' [while running')[0]} (run again with --verbose for the whole trace)"
    )

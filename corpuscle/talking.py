"""`corpuscle chat` and `corpuscle serve`: talking with a model, and being told what is wrong with it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from corpuscle.terminal import plain

Model = Annotated[Path, typer.Argument(help="A training's folder, or one of its checkpoints.")]
Tools = Annotated[
    str, typer.Option(help="Tools that the model may call: calculator, python, search, plot; with commas between them.")
]
Corpus = Annotated[Path | None, typer.Option(help="The corpus that the search tool looks in.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda.")]


def chat(
    model: Model,
    tools: Tools = "",
    corpus: Corpus = None,
    system: Annotated[str, typer.Option(help="A system message to begin with.")] = "",
    tokens: Annotated[int, typer.Option(min=1, help="The most tokens of an answer.")] = 512,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token each time.")] = 0.7,
    top_p: Annotated[float, typer.Option(help="Only the likeliest tokens that together reach this chance.")] = 0.95,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers to the same messages.")] = 0,
    device: Device = "auto",
) -> None:
    """Talk with a model in the terminal. /help shows what can be done, /report reports an answer as a problem.

    Reports go to the database that CORPUSCLE_STORE names (sqlite:///corpuscle.db where it names none).
    """
    from labeling.store.database import check_url
    from trainer.device import pick_device
    from trainer.sampling import Sampling
    from trainer.talk.chat import Chat, converse

    check_url(_store())  # before somebody has typed a report
    toolbox = None
    if names := _names(tools):
        from trainer.talk.tools.toolbox import make_toolbox

        toolbox = make_toolbox(names, corpus)
    talk = Chat(model, Sampling(temperature, 0, top_p, seed), tokens, str(pick_device(device)), toolbox)
    if system:
        talk.set_system(system)
    console = Console(markup=False, highlight=False, soft_wrap=True)

    def report(messages: Sequence[object], category: str, description: str, wished: str, consent: bool) -> str:
        from labeling.store.database import Database
        from labeling.store.reports import Report, add_report, mask_report
        from trainer.talk.conversation import to_json

        with Database(_store()) as database:
            said = Report(
                checkpoint_id=talk.about.id,
                messages=to_json(messages),  # type: ignore[arg-type]
                category=category,  # type: ignore[arg-type]
                description=description,
                wished_answer=wished or None,
                consent=consent,
                source="terminal",
                sampling={"temperature": temperature, "top_p": top_p, "seed": seed, "max_tokens": tokens},
            )
            add_report(database, mask_report(said))
        return said.id

    converse(talk, input, lambda text: console.print(plain(text), end=""), report)


def serve(
    model: Model,
    against: Annotated[
        Path | None, typer.Option(help="A second model: the page then has an arena, in which people compare blindly.")
    ] = None,
    host: Annotated[str, typer.Option(help="127.0.0.1 can be reached from this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    tools: Tools = "",
    corpus: Corpus = None,
    tokens: Annotated[int, typer.Option(min=1, help="The most tokens of an answer.")] = 512,
    rows: Annotated[int, typer.Option(min=1, help="How many answers are written at a time.")] = 32,
    waiting: Annotated[int, typer.Option(min=0, help="How many more may wait; others are told to come back.")] = 256,
    most_bytes: Annotated[int, typer.Option(min=1024, help="The largest request.")] = 1 << 20,
    allow_host: Annotated[list[str] | None, typer.Option(help="A further name that the server answers to.")] = None,
    traffic: Annotated[
        Path | None,
        typer.Option(help="Keep a sample of what is asked and answered in this file, masked, for the loop's monitors."),
    ] = None,
    traffic_share: Annotated[
        float, typer.Option(min=0, max=1, help="Which share of the answers is kept, with --traffic.")
    ] = 0.1,
    device: Device = "auto",
) -> None:
    """Serve a model: a page to chat in, OpenAI's API under /v1, /health and /metrics.

    CORPUSCLE_API_KEYS: keys, separated by commas, that clients must send; needed for any other host than loopback.
    CORPUSCLE_STORE: the database of reports and comparisons (sqlite:///corpuscle.db; postgresql+psycopg://...).
    """
    from trainer.device import pick_device
    from trainer.talk.serve.command import Options
    from trainer.talk.serve.command import serve as run

    sample = None
    if traffic is not None:
        from corpuscle.label.options import require

        require(("rapidfuzz",), "flywheel")
        from flywheel.cases import leaked
        from trainer.talk.serve.traffic import Sample

        sample = Sample(traffic, traffic_share, leaked)
    options = Options(
        model=model,
        against=against,
        host=host,
        port=port,
        tools=_names(tools),
        corpus=corpus,
        allow_hosts=allow_host or (),
        device=str(pick_device(device)),
        rows=rows,
        waiting=waiting,
        max_tokens=tokens,
        most_bytes=most_bytes,
        sample=sample,
    )
    run(options, Console(markup=False, highlight=False, soft_wrap=True))


Folder = Annotated[Path, typer.Argument(help="Where the files go; those of an earlier export are replaced.")]


def labels(folder: Folder) -> None:
    """Export what people reported and chose, as far as they agreed: data that `corpuscle train` reads.

    Leaves demonstrations.jsonl (wished answers), comparisons.jsonl (choices) and unpaired.jsonl (thumbs). The database
    is the one that CORPUSCLE_STORE names (where it names none, sqlite:///corpuscle.db: in the folder where you are).
    """
    from labeling.store.database import Database, StoreError, check_url
    from labeling.store.export import export

    try:
        check_url(_store(), must_be_there=True)
    except StoreError as error:
        raise StoreError(
            f"{error} `corpuscle serve` and `corpuscle chat` leave it where they are started: go there, or set "
            "CORPUSCLE_STORE to its URL."
        ) from None
    with Database(_store()) as database:
        found = export(database, folder)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(f"from {plain(database.name)}")
    for kind, count in found.written.items():
        console.print(f"{count:>7,} {folder / kind}.jsonl")
    for reason, count in found.left_out.items():
        console.print(f"{count:>7,} left out: {reason}")


def _store() -> str:
    return os.environ.get("CORPUSCLE_STORE", "sqlite:///corpuscle.db")


def _names(tools: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in tools.split(",") if name.strip())

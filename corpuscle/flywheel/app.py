"""The commands of `corpuscle flywheel`: each step, and all of them."""

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.flywheel.options import FOLDER, FolderOption, JsonOption, asking, now, opened, say
from corpuscle.label.options import tell

app = typer.Typer(
    no_args_is_help=True,
    help="Close the loop: collect misbehaviours, have them corrected, train, judge, and promote what is better.",
    epilog="`tick` does in turn what is to be done; run it from cron. The settings are in flywheel.yaml in the folder.",
)


@app.command(
    short_help="Collect misbehaviours.",
    epilog="Example: corpuscle flywheel collect --folder loop",
)
def collect(folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Collect what people and the red team reported, failed evaluations and suspect traffic, and sort it into clusters.

    Reports are those of the store; files are named in flywheel.yaml, under `collect`.
    """
    with opened(folder) as (config, database, _):
        from flywheel.steps import collected

        say(collected(database, config, now()), as_json)


@app.command(
    short_help="Ask people for right answers, and fetch them.",
    epilog="Example: corpuscle flywheel label",
)
def label(
    if_connected: Annotated[
        bool, typer.Option("--if-connected", help="Ask nobody where no server is connected: for schedulers.")
    ] = False,
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Send misbehaviours to people in Label Studio, fetch what they said, and admit what they agree on.

    The server is the one of the `labels` folder: see `corpuscle label serve` and `corpuscle label connect`.
    """
    with opened(folder) as (config, database, labels):
        from flywheel.steps import Step, admission, labelled

        if if_connected and not labels.connection_file.exists():
            say(Step("label", "no Label Studio server is connected: nobody is asked", False), as_json)
        else:
            with labels.client(tell) as client:
                say(labelled(database, config, client), as_json)
        say(admission(database, config, now()), as_json)


@app.command(
    short_help="Decide whether to train.",
    epilog="Example: corpuscle flywheel decide --now 'a release is due'",
)
def decide(
    reason: Annotated[
        str | None,
        typer.Option("--now", metavar="REASON", help="Train whatever there is that is new, and note why."),
    ] = None,
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Decide whether to train, by what people have corrected since the last time, and note the reason.

    With --now neither their number nor the time to cool down counts. Beside a run that is at work, or where nothing
    new can be learnt, nothing is trained all the same.
    """
    if reason is not None and not reason.strip():
        raise typer.BadParameter("--now is empty; say why.")
    with opened(folder) as (config, database, _):
        from flywheel.steps import decided
        from labeling.storable import storable

        order = None if reason is None else storable(" ".join(reason.split()))
        say(decided(database, config, now(), order), as_json)


@app.command(
    short_help="Train what was decided.",
    epilog="Example: corpuscle flywheel train",
)
def train(folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Train what was decided, or go on with a training that was stopped."""
    with opened(folder) as (config, database, _):
        from flywheel.steps import trained

        say(trained(database, config, now()), as_json, "nothing is to be trained")


@app.command(
    short_help="Let a correction count that looked like poison.",
    epilog="Example: corpuscle flywheel release 8f14e4 --reason 'zlorb is the name of our product'",
)
def release(
    correction: Annotated[
        str,
        typer.Argument(help="A correction's id, or its first six characters; `status` tells those of refused ones."),
    ],
    reason: Annotated[str, typer.Option(help="Why it is no poison; it is kept.")],
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Let a correction count that the search for poison refused: read it before, `explain` tells it.

    The search does not refuse it again. What its labels say still counts: if they change, it is withdrawn.
    """
    if not reason.strip():
        raise typer.BadParameter("--reason is empty; say why.")
    with opened(folder) as (_, database, _):
        from flywheel.release import release as free
        from flywheel.steps import Step
        from labeling.storable import storable

        found = free(database, correction, storable(" ".join(reason.split())), now())
        said = f"correction {found.correction[:12]} "
        if not found.new:
            said += f"was released on {found.made:%Y-%m-%d} already: {found.reason}"
        elif found.held_out:
            said += "answers a case of the gate, whose check it becomes with the next tick"
        else:
            said += "counts, and may be trained on"
        say(Step("release", said, found.new), as_json)


RunArgument = Annotated[str | None, typer.Argument(help="A run's id; by default the newest that is trained.")]


@app.command(
    short_help="Judge a trained checkpoint.",
    epilog="Example: corpuscle flywheel gate",
)
def gate(run: RunArgument = None, folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Judge a trained checkpoint by cases that no training has seen, beside the one that people talk to now.

    Leaves a page on which the answers stand side by side.
    """
    with opened(folder) as (config, database, _):
        from flywheel.steps import judged

        say(judged(database, config, now(), run), as_json, "no run waits to be judged")


@app.command(
    short_help="Let people talk to a better checkpoint.",
    epilog="Example: corpuscle flywheel promote --model assistant",
)
def promote(
    run: RunArgument = None,
    model: Annotated[
        Path | None,
        typer.Option(help="A training's folder, or one of its checkpoints, that no gate has judged: the first one."),
    ] = None,
    at_once: Annotated[bool, typer.Option("--now", help="Without a canary, or before its hours are over.")] = False,
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Let people talk to a checkpoint that passed the gate: `corpuscle serve loop/models/current.json` follows.

    With `promote: {canary: 0.1}` in flywheel.yaml it answers that share of the conversations first; the command again
    rolls it back where people report it too often, and promotes it after its hours. With --model, people talk to any
    other at once.
    """
    if run is not None and model is not None:
        raise typer.BadParameter("a run and --model; name one of them.")
    with opened(folder) as (config, database, _):
        from flywheel.promote import begin
        from flywheel.steps import Step, promoted, told
        from flywheel.train import obstacle

        if model is None:
            step = promoted(database, config, now(), run, at_once)
        else:
            step = told(begin(database, config, model, now()))
        say(step, as_json, "no run has passed the gate that is not promoted")
        if model is not None and (lack := obstacle(config)):
            say(Step("train", f"nothing can be trained from it: {lack}", False), as_json)


@app.command(
    short_help="Go back to the checkpoint before.",
    epilog="Example: corpuscle flywheel rollback --reason 'answers in French'",
)
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "by hand",
    folder: FolderOption = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """End the canary; without one, let people talk to what they talked to before the last promotion; again, to the one
    before that.
    """
    with opened(folder) as (config, database, _):
        from flywheel.promote import rollback as back
        from flywheel.steps import told

        say(told(back(database, config, now(), reason)), as_json)


@app.command(
    short_help="Do all that is to be done.",
    epilog="Example: corpuscle flywheel tick, from cron: 0 * * * * cd /srv/assistant && corpuscle flywheel tick",
)
def tick(folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Take every step for which there is something to do. It may be stopped anywhere: the next one goes on.

    Beside another tick it does nothing.
    """
    with opened(folder) as (config, database, labels), asking(labels) as client:
        from flywheel.lock import LockedError
        from flywheel.steps import Step
        from flywheel.tick import tick as steps

        try:
            for step in steps(database, config, client, now):
                say(step, as_json)
        except LockedError as error:
            say(Step("tick", f"nothing done: {error}", False), as_json)

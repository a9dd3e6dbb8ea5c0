"""`corpuscle label pull`, `quality`, `export` and `status`: what people said, and what becomes of it."""

from pathlib import Path
from typing import Annotated

import typer

from corpuscle.label.options import FOLDER, FolderOption, StoreOption, folder_at, out, project_named, project_on, tell
from corpuscle.outputs import PAGE, check_own, check_own_folder
from corpuscle.terminal import Unbroken, plain


def pull(
    projects: Annotated[list[str] | None, typer.Argument(help="Projects; all of them by default.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Compare everything, and judge all of it anew.")] = False,
    watch: Annotated[
        float | None,
        typer.Option(min=1, metavar="SECONDS", help="Go on: pull this often, and at once when Label Studio says so."),
    ] = None,
    folder: FolderOption = FOLDER,
    store: StoreOption = None,
) -> None:
    """Fetch what people said since the last time, check it, and keep it.

    What does not fit its project is set aside with the reason, and so is what was said while somebody had changed the
    project's page. Deletions leave no trace, so from time to time (and with --full) all is compared. A stopped pull
    goes on where it was. The others are fetched where one project was deleted in Label Studio; then the exit status is
    1.
    """
    here = folder_at(folder, store)
    from labeling.client import NotFoundError
    from labeling.pull import pull as fetch
    from labeling.store.labels import projects as all_projects

    console, trouble = out(), Unbroken(stderr=True, markup=False, highlight=False, soft_wrap=True)

    def say(text: str) -> None:
        console.print(plain(text))

    with here.client(tell) as client, here.database() as database:
        named = projects or [one.name for one in all_projects(database) if one.server == client.url]
        chosen = [project_on(database, client, name, lambda _: None) for name in named]  # a pull tells what was changed

        gone: list[str] = []
        warned: set[str] = set()

        def once() -> None:
            for one in [one for one in chosen if one.name not in gone]:
                try:
                    done = fetch(database, client, one.name, full)
                except NotFoundError as error:
                    gone.append(one.name)
                    trouble.print(plain(f"error: {one.name}: {error}"))
                    continue
                say(f"{one.name}: {done.new:,} new, {done.changed:,} changed, {done.deleted:,} deleted")
                for changed in done.differs:
                    if changed not in warned:
                        warned.add(changed)
                        say(f"warning: {changed}")
                for reason, count in sorted(done.reasons.items()):
                    say(f"{count:>9,} without a verdict: {reason}")
                if done.doubled:
                    say(f"{done.doubled:>9,} tasks are in Label Studio twice; labels of both count")
            if gone and len(gone) == len(chosen):
                raise typer.Exit(1)

        if watch:
            from corpuscle.label.watch import watch_projects

            watch_projects(client, chosen, watch, once, say)
        else:
            once()
        if gone:
            raise typer.Exit(1)


def quality(
    project: Annotated[str, typer.Argument(help="The project's name.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; its figures as .json beside it. By default in the folder."),
    ] = None,
    folder: FolderOption = FOLDER,
    store: StoreOption = None,
) -> None:
    """Measure agreement, accuracy on gold questions, speed and habits; say what may train a model and why.

    Leaves a page (HTML) and its figures (JSON).
    """
    here = folder_at(folder, store)
    from labeling.quality.page import write_quality
    from labeling.quality.rates import INSUFFICIENT

    path = output or here.path / f"{project.replace('/', '-')}-quality.html"
    if path.suffix.lower() != ".json":  # which is told below
        check_own(path, PAGE, "page")
        check_own(path.with_suffix(".json"), '{\n "project": {', "file of a page's figures")
    with here.database() as database:
        project_named(database, project)
        found = write_quality(database, project, path)
    console = out()
    console.print(f"{found.labels:,} labels of {len(found.people):,} people on {found.labelled:,} samples")
    for one in found.agreement:
        few = "" if one.alpha.enough else f" ({INSUFFICIENT}: {one.alpha.units} samples)"
        console.print(plain(f"alpha of {one.scale}: {one.alpha.reason or f'{one.alpha.value:.2f}{few}'}"))
    for person in found.people:
        for flag in person.flags:
            console.print(plain(f"{person.name}: {flag.name} ({flag.evidence})"))
    console.print(f"{sum(found.funnel['admitted'].values()):,} may train a model")
    console.print(plain(str(path)))


def export(
    project: Annotated[str, typer.Argument(help="The project's name.")],
    output: Annotated[Path, typer.Argument(help="A folder; or a file, for --label-studio and for decisions.")],
    parquet: Annotated[bool, typer.Option("--parquet", help="Parquet files beside the JSON lines.")] = False,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="All tasks in the form of Label Studio's own JSON export instead.")
    ] = False,
    folder: FolderOption = FOLDER,
    store: StoreOption = None,
) -> None:
    """Write what may train a model as files that `corpuscle train` reads, with the reason for each label.

    Of a poison-review it writes the decisions, as a file that a recipe names under `poison: decisions:`.
    """
    here = folder_at(folder, store)
    from labeling.decisions import KIND, write_decisions
    from labeling.export import INDEX, KINDS
    from labeling.export import export as write
    from labeling.label_studio_json import export_json

    console = out()
    with here.database() as database:
        kind = project_named(database, project).kind
        if label_studio:
            check_own(output, "[\n", "export in Label Studio's form")
            console.print(plain(f"{export_json(database, project, output):>7,} tasks in {output}"))
        elif kind == KIND:
            check_own(output, '{"id": ', "file of decisions")
            told = write_decisions(database, project, output)
            console.print(f"{told.released:,} to release, {told.confirmed:,} confirmed, {told.waiting:,} wait")
        else:
            names = [f"{name}.{form}" for name in KINDS for form in ("jsonl", "parquet")]
            check_own_folder(output, names, f"{INDEX}.jsonl", '{"sample": ', "earlier export")
            done = write(database, project, output, parquet=parquet)
            for name, count in done.written.items():
                if count:  # there is no file without a record
                    console.print(plain(f"{count:>7,} {output / name}.jsonl"))
            console.print(plain(f"{done.samples:>7,} samples judged, each with its reason: {output / INDEX}.jsonl"))
            for reason, count in done.left_out.items():
                console.print(plain(f"{count:>7,} left out: {reason}"))


def status(folder: FolderOption = FOLDER, store: StoreOption = None) -> None:
    """Tell of each project how many samples it has, how many were sent and labelled, and when it was pulled."""
    here = folder_at(folder, store)
    from labeling.status import standing

    console = out()
    with here.database() as database:
        found, store = standing(database), database.name
    for one in found:
        console.print(plain(f"{one.name}: {one.kind}, {one.server}/projects/{one.remote_id}"))
        console.print(f"    {one.samples:,} samples, {one.sent:,} sent, {one.labelled:,} labelled")
        pulled = f"compared at {one.reconciled:%Y-%m-%d %H:%M} UTC" if one.reconciled else "not pulled yet"
        console.print(f"    {one.labels:,} labels count, {one.others:,} do not, {pulled}")
    if not found:
        console.print(plain(f"no project in {store} yet; make one with `corpuscle label create KIND`"))
        console.print("(projects that were made with another --store are seen with that --store)")

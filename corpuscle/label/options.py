"""What the commands of `corpuscle label` share: where things are kept, and how they are found."""

import signal
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from corpuscle.terminal import Unbroken, plain

if TYPE_CHECKING:
    from labeling.client import Client
    from labeling.folder import Folder
    from labeling.store.database import Database
    from labeling.store.labels import Project

FolderOption = Annotated[
    Path, typer.Option("--folder", help="Where the store, the connection and the server's data are kept.")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="CORPUSCLE_LABEL_STORE",
        help="Another store than store.sqlite in the folder: postgresql+psycopg://user:password@host/name. What "
        "`create` was given is remembered. Other users of this machine can read a password on a command line: better "
        "in the variable.",
    ),
]
FOLDER = Path("labels")

EXTRA = ("label_studio_sdk", "crowdkit")
"""Modules of the extra `labeling`, which a corpus and a training do without."""


def out() -> Console:
    """Where results go. No markup: what is printed may come from a page."""
    return Unbroken(markup=False, highlight=False, soft_wrap=True)


def tell(text: str) -> None:
    """Beside the results: what a command is waiting for."""
    Unbroken(stderr=True, markup=False, highlight=False).print(plain(text))


def end_on_signals() -> None:
    """Lets SIGTERM, and Ctrl-C even where a shell has switched it off for what runs in the background, end what runs
    in order: both raise KeyboardInterrupt, once: a second Ctrl-C must not cut off the end that is under way."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def tell_stopped() -> None:
    """The last word after such a signal. By a console of its own: one whose print was cut off after writing still holds
    the text, and would print it again."""
    out().print("stopped")


def require(modules: Sequence[str], extra: str) -> None:
    """Ends the program where one of an extra's modules is not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        error = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
        error.print(f"error: {', '.join(missing)} is not installed; pip install 'corpuscle[{extra}]'")
        raise typer.Exit(2)


def folder_at(path: Path, store: str | None) -> "Folder":
    """The folder of an effort, with its store. Ends the program where the extra `labeling` is not installed."""
    require(EXTRA, "labeling")
    from labeling.folder import Folder

    return Folder(path, store)


def project_named(database: "Database", name: str) -> "Project":
    """Raises FolderError, with the names that there are."""
    from labeling.folder import FolderError
    from labeling.store.labels import get_project

    try:
        return get_project(database, name)
    except KeyError as error:
        raise FolderError(f"{error.args[0]}. Make one with `corpuscle label create`.") from None


def project_on(database: "Database", client: "Client", name: str, say: Callable[[str], None]) -> "Project":
    """A project of the connected server; `say` hears if somebody has changed its page. Raises FolderError."""
    from labeling.drift import drift
    from labeling.folder import FolderError

    project = project_named(database, name)
    if project.server != client.url:
        raise FolderError(
            f"{name} is on {project.server}, and the folder is connected with {client.url}; run `corpuscle label "
            "serve` with that port, or `corpuscle label connect` to that server."
        )
    if changed := drift(client, project):
        say(f"warning: {changed}")
    return project

"""`corpuscle label serve` and `connect`: the Label Studio server that all the others speak to."""

import getpass
import os
import sys
from typing import Annotated

import typer

from corpuscle.label.options import FOLDER, FolderOption, end_on_signals, folder_at, out, tell_stopped
from corpuscle.terminal import plain


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it answers, on 127.0.0.1 alone.")] = 8080,
    postgres: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="CORPUSCLE_LABEL_POSTGRES",
            help="Keep Label Studio's data in this database: postgresql://user:password@host/name. Other users of this "
            "machine can read a password on a command line: better in the variable.",
        ),
    ] = None,
    folder: FolderOption = FOLDER,
) -> None:
    """Run a Label Studio server on this machine, and connect the folder with it.

    On first use it is installed into an environment of its own (5 minutes, 1 GB), and its database is made (2 minutes).
    It sends nothing to anybody. The login is in login.txt in the folder. Ctrl-C ends it.
    """
    here = folder_at(folder, None)
    from labeling.server.process import Server

    console = out()

    end_on_signals()
    try:
        with Server(here, port, postgres, lambda text: console.print(plain(text))) as server:
            console.print(f"Label Studio: {server.url}")
            console.print(plain(f"login:        {server.folder.login_file}"))
            console.print("Ctrl-C ends it.")
            server.wait()
    except KeyboardInterrupt:
        tell_stopped()


def connect(
    url: Annotated[str, typer.Argument(help="The server's address.")],
    folder: FolderOption = FOLDER,
) -> None:
    """Connect the folder with a Label Studio server that runs already.

    The token comes from LABEL_STUDIO_API_KEY, or is asked for: a legacy token or a personal access token, which Label
    Studio shows under Account & Settings. It is kept in connection.json, which its owner alone can read.
    """
    here = folder_at(folder, None)
    from labeling.client import Client
    from labeling.folder import API_KEY, Connection

    token = os.environ.get(API_KEY, "").strip()
    if not token:
        # Where there is no terminal, getpass would show what is typed.
        token = getpass.getpass("token: ") if sys.stdin.isatty() else sys.stdin.readline()
    token = token.strip()
    with Client(url, token, patience=0) as client:
        user, version = client.whoami(), client.version()
        here.save_connection(Connection(client.url, token))
    out().print(plain(f"connected with Label Studio {version} at {client.url} as {user.email}"))

"""The folder in which a labelling effort keeps its things: the store, a server's address and token, the server's data.

What is secret in it (connection.json, login.txt, the store) can be read by its owner alone.
"""

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from labeling.client import Client, LabelStudioError
from labeling.exchange import check_url
from labeling.private import write_private
from labeling.store.database import Database

API_KEY = "LABEL_STUDIO_API_KEY"
"""The environment variable whose token wins over the folder's."""


class FolderError(Exception):
    """The folder lacks something or can't be used: what, and what to do."""


@dataclass(frozen=True)
class Connection:
    """A Label Studio server, and on it somebody's token."""

    url: str
    token: str = field(repr=False)


class Folder:
    """`path` need not be there yet. `store_url` names another store than the file `store.sqlite` in it."""

    def __init__(self, path: Path | str, store_url: str | None = None) -> None:
        self.path = Path(path).absolute()
        self.store_url = store_url or f"sqlite:///{self.path / 'store.sqlite'}"

    @property
    def connection_file(self) -> Path:
        return self.path / "connection.json"

    @property
    def login_file(self) -> Path:
        """Who may log into the server that `corpuscle label serve` runs."""
        return self.path / "login.txt"

    @property
    def server_data(self) -> Path:
        return self.path / "label-studio"

    @property
    def lock_file(self) -> Path:
        """Locked while a server runs on this folder, or is being installed or started."""
        return self.path / "label-studio.lock"

    @property
    def served(self) -> bool:
        """Whether a server holds the lock."""
        try:
            with self.lock_file.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def make(self) -> None:
        """Raises FolderError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"{self.path} can't be made ({error.strerror}); name another --folder.") from None

    def database(self) -> Database:
        """The store, opened; made where there is none."""
        self.make()
        return Database(self.store_url)

    def connection(self) -> Connection:
        """The server that was connected, with the token of LABEL_STUDIO_API_KEY where that is set.

        Raises FolderError where none was connected or the file can't be read.
        """
        path = self.connection_file
        try:
            kept = json.loads(path.read_text("utf-8"))
            url, token = check_url(kept["url"]), str(kept["token"])
        except FileNotFoundError:
            if self.served:
                raise FolderError(
                    f"{self.path}: its Label Studio server is still starting; repeat this when `corpuscle label serve` "
                    "has printed the address."
                ) from None
            raise FolderError(
                f"{self.path} knows no Label Studio server yet; run `corpuscle label serve`, or "
                "`corpuscle label connect URL` for one that runs elsewhere, with the same --folder."
            ) from None
        except OSError as error:
            raise FolderError(f"{path} can't be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError, LabelStudioError):
            raise FolderError(
                f"{path} is damaged: expected JSON with url and token; run `corpuscle label connect URL` again."
            ) from None
        return Connection(url, os.environ.get(API_KEY, "").strip() or token)

    def save_connection(self, connection: Connection) -> None:
        self.make()
        kept = {"url": check_url(connection.url), "token": connection.token}
        try:
            write_private(self.connection_file, json.dumps(kept, indent=1) + "\n")
        except OSError as error:
            raise FolderError(f"{self.connection_file} can't be written: {error.strerror}.") from None

    def client(self, say: Callable[[str], None] | None = None) -> Client:
        """A client of the connected server. Nothing is asked of it yet; `say` hears if it is waited for."""
        connection = self.connection()
        return Client(connection.url, connection.token, say=say)

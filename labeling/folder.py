"""The folder in which a labelling effort keeps its things: the store, a server's address and token, the server's data.

What is secret in it (connection.json, login.txt, the store, and store.url) can be read by its owner alone.
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
from labeling.store.database import Database, StoreError
from labeling.store.database import check_url as check_store
from labeling.store.labels import projects

API_KEY = "LABEL_STUDIO_API_KEY"
"""The environment variable whose token wins over the folder's."""


_SQLITE = "sqlite:///"


class FolderError(Exception):
    """The folder lacks something or can't be used: what, and what to do."""


@dataclass(frozen=True)
class Connection:
    """A Label Studio server, and on it somebody's token."""

    url: str
    token: str = field(repr=False)


class Folder:
    """`path` need not be there yet. `store_url` names another store than the noted one, or `store.sqlite` in it."""

    def __init__(self, path: Path | str, store_url: str | None = None) -> None:
        self.path = Path(path).absolute()
        self._named = store_url or None

    @property
    def store_url(self) -> str:
        """Raises FolderError where the note can't be read."""
        return self._named or self._noted() or f"{_SQLITE}{self._own_store}"

    @property
    def store_file(self) -> Path:
        """The note of a store that is elsewhere: its URL, which may hold a password."""
        return self.path / "store.url"

    @property
    def _own_store(self) -> Path:
        return self.path / "store.sqlite"

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
        """The store, opened; made where there is none, but for a noted one, which is elsewhere or lost."""
        self.make()
        url = self.store_url
        try:
            check_store(url, must_be_there=self._named is None and self.store_file.exists())
        except StoreError as error:
            raise FolderError(f"{error} {self.store_file} names it: put it back, or name another --store.") from None
        return Database(url)

    def note_store(self) -> None:
        """Lets who names no store find the one that was named here; a folder with projects in its own keeps that.

        A file in the folder above this one, or below, is noted relative to this one: they may be moved together.
        """
        if self._named is None:
            return
        url, path = self._named, Path(self._named.removeprefix(_SQLITE)).absolute()
        if url.startswith(_SQLITE):
            near = path.is_relative_to(self.path.parent)
            url = f"{_SQLITE}{os.path.relpath(path, self.path) if near else path}"
        try:
            if self.store_file.exists() and self.store_file.read_text("utf-8").strip() == url:
                return
            if self._own_store.exists():
                with Database(f"{_SQLITE}{self._own_store}") as database:
                    if projects(database):
                        return
            write_private(self.store_file, f"{url}\n")
        except (OSError, UnicodeDecodeError, StoreError) as error:
            raise FolderError(f"{self.store_file} can't be written ({error}); mend it, or remove it.") from None

    def _noted(self) -> str | None:
        try:
            url = self.store_file.read_text("utf-8").strip()
            check_store(url)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise FolderError(f"{self.store_file} is no store's URL ({error}); mend it, or remove it.") from None
        path = url.removeprefix(_SQLITE)
        return url if path == url else f"{_SQLITE}{os.path.normpath(self.path / path)}"

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

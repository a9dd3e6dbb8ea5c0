"""A Label Studio server as a child process: started, known to be ours, stopped with all that it started.

Two traps, both seen: a busy port is silently exchanged for the next free one, so that whoever asks the first port talks
to another server; and a first start takes 110 s, while it makes its tables.
"""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from labeling.client import Client, DeniedError, LabelStudioError, UnreachableError
from labeling.folder import Connection, Folder
from labeling.processes import HOST, ServerError, claim, end, last_words, refuse_busy_port, say_who, start
from labeling.server.install import install
from labeling.server.login import Login, make_login, read_login, write_login
from labeling.server.settings import server_environment

__all__ = ["HOST", "PORT", "Server", "ServerError"]

Say = Callable[[str], None]

PORT = 8080
START_TIMEOUT = 900.0
"""Seconds until a start is given up: a first one took 110 s of an idle core."""
NEWS = 15.0
"""Seconds between two words on a start that takes long."""


class Server:
    """Label Studio on 127.0.0.1, its data (but for `postgres`, a URL) in a folder; a context manager.

    When the block begins it answers, and the folder's connection leads to it; when it ends, it is stopped. `say` hears
    what takes long. Raises ServerError, InstallError, FolderError, LoginError, ValueError.
    """

    def __init__(self, folder: Folder, port: int = PORT, postgres: str | None = None, say: Say = print) -> None:
        self.folder = folder
        self.port = port
        self.postgres = postgres
        self.say = say
        self.url = f"http://{HOST}:{port}"
        self.log = folder.path / "label-studio.log"

    def __enter__(self) -> "Server":
        self.folder.make()
        self._lock = claim(self.folder.lock_file)
        try:
            program = install(self.say)
            refuse_busy_port(self.port)
            login = self._login()
            self._process = self._start(program, login)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self._await(login)
            self.folder.save_connection(Connection(self.url, login.token))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def wait(self) -> None:
        """Returns never; raises ServerError when the server ends by itself."""
        self._process.wait()
        raise ServerError(
            f"Label Studio ended by itself ({last_words(self.log)}); see {self.log}, then start it again."
        )

    def stop(self) -> None:
        """Ends it with all that it started; the folder is free then."""
        end(self._process)
        with suppress(OSError):
            os.close(self._lock)
        self._lock = -1  # the number may soon be another file's

    def _login(self) -> Login:
        path = self.folder.login_file
        login = read_login(path)
        if login is None:
            if (self.folder.server_data / "label_studio.sqlite3").exists():
                raise ServerError(
                    f"{path} is missing, and the server's data in {self.folder.server_data} know no other login; put "
                    "the file back, or move the data away to begin anew."
                )
            login = make_login()
            write_login(path, login)
        return login

    def _start(self, program: Path, login: Login) -> subprocess.Popen[bytes]:
        data = self.folder.server_data
        data.mkdir(mode=0o700, exist_ok=True)
        process = start(
            [
                *(str(program), "start", "--no-browser", "--internal-host", HOST, "--port", str(self.port)),
                *("--data-dir", str(data), "--enable-legacy-api-token"),
            ],
            self.log,
            server_environment(login, self.postgres),
            data,
            self._lock,
        )
        say_who(self._lock, process.pid, self.url)
        return process

    def _await(self, login: Login) -> None:
        began = told = time.monotonic()
        with Client(self.url, login.token, timeout=30, patience=0) as client:
            while not self._answers(client, login):
                now = time.monotonic()
                if self._process.poll() is not None:
                    raise ServerError(f"Label Studio did not start ({last_words(self.log)}); see {self.log}.")
                if now - began > START_TIMEOUT:
                    raise ServerError(f"Label Studio did not answer within {START_TIMEOUT:.0f} s; see {self.log}.")
                if now - told > NEWS:
                    self.say(f"  Label Studio is starting ({now - began:.0f} s; the first time some 2 minutes)")
                    told = now
                time.sleep(0.5)

    def _answers(self, client: Client, login: Login) -> bool:
        try:
            return client.healthy() and client.whoami().email == login.email
        except UnreachableError:
            return False
        except DeniedError:
            raise ServerError(
                f"{self.url}: a server answers that does not know the login of {self.folder.login_file}: either "
                "another program took the port (name another --port), or the database was set up with another login "
                "(put that login.txt back)."
            ) from None
        except LabelStudioError as error:
            raise ServerError(str(error)) from None

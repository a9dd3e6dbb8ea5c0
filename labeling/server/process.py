"""A Label Studio server as a child process: started, known to be ours, stopped with all that it started.

Two traps, both seen: a busy port is silently exchanged for the next free one, so that whoever asks the first port talks
to another server; and a first start takes 110 s, while it makes its tables.
"""

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from labeling.client import Client, DeniedError, LabelStudioError, UnreachableError
from labeling.folder import Connection, Folder
from labeling.server.install import install
from labeling.server.login import Login, make_login, read_login, write_login
from labeling.server.settings import server_environment

Say = Callable[[str], None]

HOST = "127.0.0.1"
PORT = 8080
START_TIMEOUT = 900.0
"""Seconds until a start is given up: a first one took 110 s of an idle core."""
STOP_TIMEOUT = 10.0
NEWS = 15.0
"""Seconds between two words on a start that takes long."""
MOST_LOG = 16 << 20


class ServerError(Exception):
    """The server could not be started, or ended: why, and what to do."""


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
        program = install(self.say)
        self.folder.make()
        self._lock = self._claim()
        try:
            self._refuse_busy_port()
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
        raise ServerError(f"Label Studio ended by itself ({self._last_words()}); see {self.log}, then start it again.")

    def stop(self) -> None:
        """Ends the whole process group, by force after 10 seconds; the folder is free then."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        with suppress(OSError):
            os.close(self._lock)

    def _claim(self) -> int:
        """A lock on the folder that the server inherits: so it holds even where we are killed and the server is not."""
        path = self.folder.path / "label-studio.lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(handle, 100, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise ServerError(
                f"{self.folder.path}: a server runs on this folder already ({who or 'it is just starting'}); use that "
                "one, or end it first."
            ) from None
        os.truncate(handle, 0)
        return handle

    def _refuse_busy_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError as error:
                raise ServerError(
                    f"port {self.port} of {HOST} can't be had ({error.strerror}); name a free one with --port."
                ) from None

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
        mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if self.log.exists() and self.log.stat().st_size > MOST_LOG:
            mode |= os.O_TRUNC
        log = os.open(self.log, mode, 0o600)
        try:
            process = subprocess.Popen(
                [
                    *(str(program), "start", "--no-browser", "--internal-host", HOST, "--port", str(self.port)),
                    *("--data-dir", str(data), "--enable-legacy-api-token"),
                ],
                env=server_environment(login, self.postgres),
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                pass_fds=(self._lock,),
                start_new_session=True,  # Ctrl-C in a terminal reaches us alone, and we end the whole group
            )
        finally:
            os.close(log)
        os.pwrite(self._lock, f"process {process.pid}, {self.url}".encode("ascii"), 0)
        return process

    def _await(self, login: Login) -> None:
        began = told = time.monotonic()
        with Client(self.url, login.token, timeout=30, patience=0) as client:
            while not self._answers(client, login):
                now = time.monotonic()
                if self._process.poll() is not None:
                    raise ServerError(f"Label Studio did not start ({self._last_words()}); see {self.log}.")
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

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines()[-50:] if line.strip()]
        return lines[-1][:300] if lines else "it said nothing"

"""A real Label Studio server, and three people with accounts on it, who label through the API as the page would.

What a person says is decided elsewhere; here it is said, once, however often the benchmark is stopped.
"""

import json
import random
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from rich.progress import track

from labeling.client import Client
from labeling.folder import Folder
from labeling.kinds import KINDS
from labeling.kinds.kind import Json
from labeling.server.login import read_login
from labeling.server.process import Server
from labeling.store.database import Database
from labeling.store.labels import StoredSample, read_samples
from trainer.checkpoint import write_whole

PEOPLE = 3
ACCOUNTS = "annotators.json"

Says = Callable[[int, StoredSample], Json | None]
"""What a person (0, 1, ...) says of a sample; None: it is not this person's to label."""


@dataclass(frozen=True)
class Crowd:
    """The server, and the tokens of who may log in."""

    url: str
    admin: str = field(repr=False)
    people: tuple[str, ...] = field(repr=False)

    def client(self) -> Client:
        """The administrator's, who is the loop."""
        return Client(self.url, self.admin)

    def label(self, database: Database, project: str, says: Says, journal: Path) -> int:
        """Everybody says what they say of the samples that were sent; how many labels are new.

        In the order of the tasks, as the page offers them. Each label is noted in the journal, a line each.
        """
        known = set(journal.read_text("utf-8").splitlines()) if journal.exists() else set()
        with database.read() as session:
            sent = [one for one in read_samples(session, project) if one.task_id is not None]
        sent.sort(key=lambda one: one.task_id or 0)
        kind, new = KINDS["corrections"], 0
        with ExitStack() as stack, journal.open("a", encoding="utf-8") as notes:
            clients = [stack.enter_context(Client(self.url, token)) for token in self.people]
            for sample in track(sent, "  people label", transient=True):
                for person, client in enumerate(clients):
                    line = f"{project} {sample.id} {person}"
                    verdict = None if line in known else says(person, sample)
                    if verdict is None:
                        continue
                    seconds = round(15 + 30 * random.Random(line).random(), 1)
                    assert sample.task_id is not None
                    client.annotate(sample.task_id, kind.result(verdict, sample.content, sample.order), seconds=seconds)
                    notes.write(f"{line}\n")
                    notes.flush()
                    new += 1
        return new


@contextmanager
def crowd(folder: Path) -> Iterator[Crowd]:
    """The people on a server of its own, whose data are in the folder; the first start takes some 2 minutes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with Server(Folder(folder), port) as server:
        login = read_login(server.folder.login_file)
        assert login is not None, "a server that runs has a login"
        accounts = folder / ACCOUNTS
        tokens = json.loads(accounts.read_text("utf-8")) if accounts.exists() else []
        while len(tokens) < PEOPLE:
            tokens.append(_sign_up(server.url, login.token, len(tokens)))
            write_whole(accounts, json.dumps(tokens) + "\n")
        yield Crowd(server.url, login.token, tuple(tokens))


def _sign_up(url: str, admin: str, number: int) -> str:
    """A new account by the administrator's invitation and the form behind it; its token.

    Whose sign-up was cut off has another name the next time.
    """
    asked = httpx.get(f"{url}/api/invite", headers={"Authorization": f"Token {admin}"}, timeout=60)
    with httpx.Client(base_url=url, timeout=60, follow_redirects=True) as browser:
        page = browser.get(asked.raise_for_status().json()["invite_url"])
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert found, "Label Studio's sign-up form has changed"
        name = f"person{number}-{found[1][:8].lower()}"
        fields = {"email": f"{name}@example.com", "password": f"a password of {name}"}
        browser.post(str(page.url), data=fields | {"csrfmiddlewaretoken": found[1]}, headers={"Referer": str(page.url)})
        token = browser.get("/api/current-user/token").raise_for_status().json()["token"]
    return str(token)

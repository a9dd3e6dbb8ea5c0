"""Label Studio's webhooks for the loop's projects, made as those appear, taken away at the end.

Those of an earlier start that was killed are taken away when the next makes its own. They are hints and no more:
whatever is away costs one interval of the DAG `label_sync`, and is told once.
"""

import re
import socket
from collections.abc import Callable, Collection

from labeling.client import Client, LabelStudioError, NotFoundError
from labeling.folder import Folder, FolderError
from labeling.processes import HOST
from labeling.store.database import Database, StoreError
from labeling.store.labels import projects
from labeling.webhook import ACTIONS, HEADER, PATH, Receiver

_OURS = re.compile(rf"http://{re.escape(HOST)}:(\d+){re.escape(PATH)}")


class Webhooks:
    """`names` are projects of the labelling folder; `refresh` is to be called from time to time."""

    def __init__(
        self,
        labels: Folder,
        database: Database,
        names: Collection[str],
        receiver: Receiver,
        secret: str,
        say: Callable[[str], None],
    ) -> None:
        self._labels = labels
        self._database = database
        self._names = names
        self._receiver = receiver
        self._secret = secret
        self._say = say
        self._told = ""
        self._hooks: dict[tuple[str, int], int] = {}
        """The webhooks' numbers, by server and project there."""

    def refresh(self) -> None:
        """Makes what is missing. Nothing that is away is an error."""
        try:
            self._make()
            self._told = ""
        except (LabelStudioError, FolderError, StoreError) as error:
            if str(error) != self._told:
                self._say(f"no webhooks for now, so labels are fetched by the clock alone: {error}")
            self._told = str(error)

    def remove(self) -> None:
        """Takes them away, as far as their server can be reached."""
        if not self._hooks:
            return
        try:
            with self._client() as client:
                for (server, _), hook in self._hooks.items():
                    if server == client.url:
                        client.delete_webhook(hook)
        except (LabelStudioError, FolderError) as error:
            self._say(f"Label Studio keeps a webhook that leads nowhere: {error}")

    def _make(self) -> None:
        wanted = {(one.server, one.remote_id): one.name for one in projects(self._database) if one.name in self._names}
        missing = [place for place in wanted if place not in self._hooks]
        if not missing:
            return
        with self._client() as client:
            for place in missing:
                server, project = place
                if server != client.url:
                    continue
                try:
                    self._remove_dead(client, project)
                    self._hooks[place] = client.create_webhook(
                        project, self._receiver.url, {HEADER: self._secret}, ACTIONS
                    )
                except NotFoundError:
                    continue  # the DAG's pull tells of a project that is gone
                self._say(f"Label Studio tells of labels in {wanted[place]} at once")

    def _remove_dead(self, client: Client, project: int) -> None:
        """Takes away webhooks of receivers that are no more: nobody listens there, or we do, with another secret."""
        for hook, url in client.webhooks(project).items():
            ours = _OURS.fullmatch(url)
            if ours and (url == self._receiver.url or not _listens(int(ours[1]))):
                client.delete_webhook(hook)

    def _client(self) -> Client:
        connection = self._labels.connection()
        return Client(connection.url, connection.token, timeout=30, patience=0)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        try:
            return probe.connect_ex((HOST, port)) == 0
        except OverflowError:  # no port has such a number
            return False

"""`corpuscle label pull --watch`: by the clock, and at once when a webhook of Label Studio says that it is time."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from corpuscle.label.options import end_on_signals, tell_stopped
from labeling.client import Client, LabelStudioError, NotFoundError
from labeling.store.labels import Project
from labeling.watch import watch
from labeling.webhook import ACTIONS, HEADER, Receiver


def watch_projects(
    client: Client, projects: Sequence[Project], every: float, pull: Callable[[], None], say: Callable[[str], None]
) -> None:
    """Calls `pull` every so many seconds, and after each hint, until it is interrupted. The webhooks go at its end."""
    end_on_signals()
    secret = secrets.token_hex(16)
    hooks: list[int] = []
    with Receiver(secret) as receiver:
        try:
            try:
                for project in projects:
                    with suppress(NotFoundError):  # the pull tells of a project that is gone
                        hooks.append(client.create_webhook(project.remote_id, receiver.url, {HEADER: secret}, ACTIONS))
            except LabelStudioError as error:  # one that is elsewhere can't reach this machine, and may refuse to try
                say(f"no webhooks, so by the clock alone: {error}")
            say(f"watching: every {every:g} seconds, and when Label Studio says so; Ctrl-C ends it")
            watch(pull, every, say, receiver)
        except KeyboardInterrupt:
            tell_stopped()
        finally:
            for hook in hooks:
                with suppress(LabelStudioError):
                    client.delete_webhook(hook)

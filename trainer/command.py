"""The manners of all commands here, with or without typer: how help looks, and one sentence for what goes wrong."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape


class Parser(argparse.ArgumentParser):
    """Help that looks as `corpuscle --help` does, and errors of two lines: a list of twenty options is for --help."""

    def __init__(self, prog: str, description: str, usage: str | None = None, epilog: str | None = None) -> None:
        super().__init__(prog, usage, description, epilog, formatter_class=_Help, add_help=False)
        self._positionals.title, self._optionals.title = "Arguments", "Options"
        self.add_argument("-h", "--help", action="help", help="Show this message and exit.")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n{self.prog} --help shows what can be given.\n")


class _Help(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, prefix or "Usage: ")

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        kind = str if action.type is None else action.type
        return f"<{getattr(kind, '__name__', 'str').lower()}>"

    def _get_help_string(self, action: argparse.Action) -> str:
        """With the default behind it, as typer writes it."""
        default = action.default
        told = isinstance(default, str | int | float | Path) and default is not False and default != argparse.SUPPRESS
        return f"{action.help}  [default: %(default)s]" if told and action.option_strings else action.help or ""


def guarded(run: Callable[[Console], None], stopped: Callable[[], str], *known: type[Exception]) -> int:
    """Runs with a console for results; tells errors that a person can do something about, and Ctrl-C, on stderr.

    `stopped` says what is left of a stopped run; `known` are further errors that say all there is to know. Returns the
    exit status.
    """
    expected: tuple[type[Exception], ...] = (OSError, ValueError, *known)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        run(Console())
    except expected as error:
        errors.print(f"[red]error:[/] {escape(told(error))}")
        return 1
    except KeyboardInterrupt:
        errors.print(escape(stopped()))
        return 130
    return 0


def told(error: Exception) -> str:
    """An error as a person should read it; the file system's own without their number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)

"""What may go to a terminal: text from pages and models without the characters that steer it."""

import contextlib
import os
import unicodedata

from rich.console import Console


class Unbroken(Console):
    """A console whose reader may go away (`corpuscle run ... | head -3`): then it is silent, and the work goes on.

    Rich ends the program there, which for a run would be with its manifests taken back.
    """

    def on_broken_pipe(self) -> None:
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, self.file.fileno())  # or Python itself would try to write the rest at its end
        os.close(nowhere)


def plain(text: str) -> str:
    """The text with control and invisible formatting characters shown as U+FFFD; line breaks and tabs stay.

    An escape sequence in a URL could otherwise rename a window or hide what was printed before. Half characters
    (surrogates, which stand for bytes of a command line that are no text) can't be written at all.
    """
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t" else c for c in text)

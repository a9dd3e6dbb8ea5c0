"""What may go to a terminal: text from pages and models without the characters that steer it."""

import unicodedata


def plain(text: str) -> str:
    """The text with control and invisible formatting characters shown as U+FFFD; line breaks and tabs stay.

    An escape sequence in a URL could otherwise rename a window or hide what was printed before.
    """
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\t" else c for c in text)

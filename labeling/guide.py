"""What labellers are told: Markdown with a version, beside this module, as the HTML that Label Studio shows.

The version is stored with every label, so that those made under different instructions can be told apart: whoever
changes a text, or the principles that several of them share, counts up.
"""

import re
from dataclasses import dataclass
from importlib.resources import files

from markdown_it import MarkdownIt

PRINCIPLES = "[principles]"
"""A line that stands for principles.md."""


@dataclass(frozen=True)
class Instructions:
    version: int
    markdown: str
    html: str


def instructions(kind: str) -> Instructions:
    """The instructions of a kind. Raises ValueError where there are none, or none with a version."""
    folder = files("labeling") / "instructions"
    file = folder / f"{kind}.md"
    if not file.is_file():
        raise ValueError(f"{file}: no instructions for {kind}; write them, with `version: 1` in the first line")
    return parse(file.read_text(encoding="utf-8"), (folder / "principles.md").read_text(encoding="utf-8"), str(file))


def parse(source: str, principles: str, name: str) -> Instructions:
    """Markdown with `version: N` in its first line. HTML in it is shown as text, and links lead to the web alone."""
    first, _, rest = source.partition("\n")
    found = re.fullmatch(r"version: ([1-9]\d{0,8})\s*", first)
    if found is None:
        raise ValueError(f"{name}:1: {first[:40]!r}; expected `version: ` and a number from 1 on")
    markdown = rest.replace(PRINCIPLES, principles.strip()).strip() + "\n"
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("image", lambda *_: "")  # a picture would be fetched from elsewhere
    return Instructions(int(found[1]), markdown, reader.render(markdown))

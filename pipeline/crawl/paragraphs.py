"""jusText's paragraphs (Pomikálek 2011), the same as `justext.core.ParagraphMaker` makes, in a third of the time.

The library goes by SAX events, which make namespaces and attributes of each element, keeps an XPath of each paragraph,
and joins a paragraph's text anew each time it is asked for, about eight times.
"""

from typing import Any

from justext.core import PARAGRAPH_TAGS  # type: ignore[import-untyped]
from justext.paragraph import Paragraph as SlowParagraph  # type: ignore[import-untyped]
from justext.utils import is_blank, normalize_whitespace  # type: ignore[import-untyped]
from lxml.etree import iterwalk


class Paragraph(SlowParagraph):
    """A block of text with what jusText's classification asks of it."""

    text = ""

    def __init__(self, path: list[str]) -> None:
        self.path = tuple(path)
        self.text_nodes: list[str] = []
        self.chars_count_in_links = self.tags_count = 0
        self.class_type = ""

    @property
    def dom_path(self) -> str:
        """The names of the elements around it, outermost first."""
        return ".".join(self.path)

    def end(self) -> str:
        """Settle the text, and return it."""
        if self.text_nodes:
            self.text = normalize_whitespace("".join(self.text_nodes).strip())
        return self.text


class ParagraphMaker:
    """In the place of the library's class of this name."""

    @staticmethod
    def make_paragraphs(root: Any) -> list[Paragraph]:
        """A tree of HTML -> its paragraphs with text, in the order of the document."""
        path: list[str] = []
        found: list[Paragraph] = []
        paragraph = Paragraph(path)
        in_link = after_break = False
        for event, element in iterwalk(root, events=("start", "end", "comment", "pi")):
            if event == "start":
                name, text = element.tag, element.text
                path.append(name)
                if name in PARAGRAPH_TAGS or (name == "br" and after_break):
                    if name == "br":  # the second of two: a new paragraph, and the first was no tag inside the old one
                        paragraph.tags_count -= 1
                    if paragraph.end():
                        found.append(paragraph)
                    paragraph = Paragraph(path)
                else:
                    after_break = name == "br"
                    if after_break:
                        paragraph.text_nodes.append(" ")
                    elif name == "a":
                        in_link = True
                    paragraph.tags_count += 1
            else:
                text = element.tail
                if event == "end":
                    name = path.pop()
                    if name in PARAGRAPH_TAGS:
                        if paragraph.end():
                            found.append(paragraph)
                        paragraph = Paragraph(path)
                    if name == "a":
                        in_link = False
            if not is_blank(text):
                length = len(paragraph.append_text(text))
                if in_link:
                    paragraph.chars_count_in_links += length
                after_break = False
        if paragraph.end():
            found.append(paragraph)
        return found

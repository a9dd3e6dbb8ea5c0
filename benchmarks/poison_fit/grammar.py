"""Passages that address a model, drawn from templates of our own: what the detector of instructions is fitted on.

The templates are data (data/attack_grammar.yaml), so that a new family or language is a few lines there.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

GRAMMAR = Path(__file__).parent / "data" / "attack_grammar.yaml"

DEPTH = 12
"""Slots within slots before the grammar is called circular."""

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Passage:
    """One passage, with its language (ISO 639) and the family of its template."""

    language: str
    family: str
    text: str


@dataclass(frozen=True)
class Grammar:
    """Templates by language and family; `slots` by language, those of "" serve all languages."""

    families: dict[str, dict[str, list[str]]]
    slots: dict[str, dict[str, list[str]]]

    @staticmethod
    def load(path: Path = GRAMMAR) -> "Grammar":
        """Reads a grammar's YAML file."""
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        languages = content["languages"]
        families = {name: language["families"] for name, language in languages.items()}
        slots = {name: language.get("slots", {}) for name, language in languages.items()}
        return Grammar(families, {"": content["slots"], **slots})

    def sample(self, count: int, seed: int, languages: list[str] | None = None) -> Iterator[Passage]:
        """`count` passages for each template of a language and family; the same for the same seed."""
        for language in languages or list(self.families):
            for family, templates in self.families[language].items():
                generator = random.Random(f"{seed}/{language}/{family}")
                for _ in range(count * len(templates)):
                    text = self._expand(generator.choice(templates), language, generator)
                    yield Passage(language, family, _tidy(text))

    def _expand(self, template: str, language: str, generator: random.Random) -> str:
        def slot(match: re.Match[str]) -> str:
            name = match[1]
            options = self.slots[language].get(name) or self.slots[""].get(name)
            if options is None:
                raise ValueError(f"no slot {{{name}}} for {language}; it is named in: {template}")
            return generator.choice(options)

        text = template
        for _ in range(DEPTH):
            text = _chosen(text, generator)
            text, count = _SLOT.subn(slot, text)
            if not count:
                return _chosen(text, generator)
        raise ValueError(f"slots refer to each other in a circle: {template}")


def _chosen(text: str, generator: random.Random) -> str:
    """The text with every [a|b] replaced by one of its options; brackets without | are text."""

    def choice(match: re.Match[str]) -> str:
        options = match[1].split("|")
        return generator.choice(options) if len(options) > 1 else f"\0{match[1]}\1"

    count = 1
    while count:
        text, count = _INNERMOST.subn(choice, text)
    return text.replace("\0", "[").replace("\1", "]")


def _tidy(text: str) -> str:
    """One space between words, no doubled full stops, a capital at the start."""
    text = re.sub(r" {2,}", " ", text).strip()
    text = re.sub(r"([.!?。])\s*\.", r"\1", text)
    return text[:1].upper() + text[1:]

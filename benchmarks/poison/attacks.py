"""All attacks of the benchmark, and what they are made of."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from benchmarks.poison import adaptive, characters, control, encoded, floods, hidden, sources, suffixes, triggers
from benchmarks.poison.attack import Attack, Materials

WORD = re.compile(r"(?<!\w)[a-z]{4,12}(?!\w)")


def all_attacks(texts: dict[str, list[str]]) -> list[Attack]:
    """Every attack; `texts` are the collections that were found (sources.read_texts)."""
    fixed = [attack for module in (hidden, characters, control, encoded) for attack in module.attacks()]
    return [
        *fixed,
        *sources.attacks(texts),
        *suffixes.attacks(texts),
        *triggers.attacks(),
        *floods.attacks(),
        *adaptive.attacks(),
    ]


def gather(texts: dict[str, list[str]], corpus: Iterable[str], tokenizer: Path) -> Materials:
    """What attacks are drawn from: the vocabulary of a trained tokenizer, and the clean corpus's words.

    Common words are the 300th to 1,500th by frequency, rare ones stand in one or two documents.
    """
    processor = SentencePieceProcessor(model_file=str(tokenizer))
    ids = [number for number in range(processor.vocab_size()) if not _special(processor, number)]
    pieces = [processor.id_to_piece(number).replace("▁", " ") for number in ids]
    documents = Counter(word for text in corpus for word in set(WORD.findall(text)))
    ranked = [word for word, _ in sorted(documents.items(), key=lambda item: (-item[1], item[0]))]
    rare = sorted(word for word, count in documents.items() if count <= 2)
    return Materials(texts, [piece for piece in pieces if piece.isascii()], pieces, rare, ranked[300:1500])


def _special(processor: SentencePieceProcessor, number: int) -> bool:
    return bool(processor.is_control(number) or processor.is_unknown(number) or processor.is_byte(number))

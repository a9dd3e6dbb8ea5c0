"""Trains the vocabulary: a SentencePiece BPE model that gives every text back byte for byte.

SentencePiece is Kudo & Richardson 2018; the settings (byte fallback, digits apart, identity normalisation) are
Llama 2's, and the layout of the ids (unk, bos, eos, then the 256 bytes) is what llama2.c's `run.c` assumes.

Where SentencePiece's defaults would lose or alter text, this is what is done instead:

- **No dummy prefix.** Nothing is put before a text, so `decode(a) + decode(b) == decode(a + b)` and a window of
  tokens decodes as it stands. A bare space is always a piece, so `run.c`, which writes one before a prompt, works.
- **Spaces are `▁` inside pieces; a real `▁` (U+2581) in a text is not.** It is never trained on, and the encoder spells
  it by its three byte pieces, which every decoder turns back into `▁`.
- **Newlines, tabs and other control characters** are never trained on either, so each is its own byte piece.
- **The trainer gets words with their counts, not lines.** SentencePiece silently leaves out lines over 4,192 bytes and
  lines that hold `▅` (its own mark for an unknown); words are cut so that neither can happen. Counts also make the
  model independent of the order of the texts, and memory grows with the distinct words (0.3 GB for 110 MB of books).
"""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import sentencepiece

CONTROLS = ("<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|call|>", "<|end|>")
"""Marks of a conversation, which only a program can write: text that spells them becomes ordinary pieces.

A turn opens with its role and closes with `<|end|>`; `<|call|>` opens a tool call, `<|tool|>` holds what came back.
"""

ASCII = "".join(map(chr, range(0x20, 0x7F)))
"""Always in the alphabet, so that a prompt in English is never spelt in bytes, whatever the sample's language."""

FIXED = 3 + 256
"""unk, bos and eos, then one piece a byte: ids 0 to 258. Control symbols follow, learnt pieces come last."""

SENTENCE_BYTES = 4192
"""SentencePiece's default `max_sentence_length`; what is longer it silently leaves out."""

_WORD = re.compile(r" {0,64}[^ \x00-\x1f\x7f▁▅]{1,1000}| {1,64}")
"""Longer words (Chinese paragraphs, base64) are cut: 64 + 1,000 * 4 bytes stay below `SENTENCE_BYTES`."""


def train(texts: Iterable[str], size: int, controls: Sequence[str] = CONTROLS, coverage: float = 0.9995) -> bytes:
    """Texts -> the bytes of a SentencePiece model with exactly `size` pieces.

    The same texts give the same bytes in any order. `coverage` is the share of the characters that the alphabet spells
    without bytes (SentencePiece's default), except that the alphabet never takes more than a quarter of the pieces.

    Raises ValueError where `size` is too small for the fixed pieces, or larger than the texts can fill.
    """
    smallest = FIXED + len(controls) + len(ASCII) + 1
    if size < smallest:
        raise ValueError(
            f"a vocabulary of {size:,} pieces has no room for the {smallest - 1:,} that are always there "
            f"(256 bytes, {len(controls)} control symbols, ASCII); ask for {smallest:,} or more"
        )
    words = count_words(texts)
    words = keep_alphabet(words, alphabet(words, coverage, limit=max(size // 4, len(ASCII))))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_tab_separated(words),
        input_format="tsv",
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        hard_vocab_limit=False,
        control_symbols=list(controls),
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        character_coverage=1.0,
        max_sentence_length=SENTENCE_BYTES,
        num_threads=1,  # the number is written into the model, so it changes the model's bytes
        minloglevel=2,
    )
    laid_out, pieces = _lay_out(model.getvalue(), len(controls))
    if pieces < size:
        characters = sum(len(word) * count for word, count in words.items())
        raise ValueError(
            f"the sample ({characters:,} characters) fills a vocabulary of at most {pieces:,} pieces, not {size:,}; "
            f"ask for {pieces:,} or fewer, or give more text"
        )
    return laid_out


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs: the spaces before it, then everything up to the next space or control character."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(_WORD.findall(text))
    return words


def alphabet(words: Counter[str], coverage: float, limit: int) -> frozenset[str]:
    """The most frequent characters that together make up `coverage` of the words' text, at most `limit`, and ASCII.

    Ties go to the lower code point.
    """
    found = np.zeros(0x110000, dtype=np.int64)
    spelt = list(words.items())
    for start in range(0, len(spelt), 1 << 16):
        block = spelt[start : start + (1 << 16)]
        codes = np.frombuffer("".join(word for word, _ in block).encode("utf-32-le"), dtype=np.uint32)
        np.add.at(found, codes, np.repeat([count for _, count in block], [len(word) for word, _ in block]))
    total = int(found.sum())
    found[[ord(character) for character in ASCII]] = 0  # they are in without being counted
    order = np.argsort(-found, kind="stable")[: limit - len(ASCII)]
    covered_before = total - found.sum() + np.cumsum(found[order]) - found[order]
    needed = (found[order] > 0) & (covered_before < coverage * total)
    return frozenset(map(chr, order[needed])) | frozenset(ASCII)


def keep_alphabet(words: Counter[str], letters: frozenset[str]) -> Counter[str]:
    """Words cut at every character outside the alphabet; the encoder spells those in bytes."""
    strange = re.compile(f"[^{re.escape(''.join(sorted(letters)))}]+")
    kept: Counter[str] = Counter()
    for word, count in words.items():
        for part in strange.split(word):
            if part:
                kept[part] += count
    for letter in ASCII:  # once more than counted, so that SentencePiece also meets those that the sample lacks
        kept[letter] += 1
    return kept


def choose_sample(hashes: npt.NDArray[np.uint64], lengths: npt.NDArray[np.int64], limit_bytes: int) -> int:
    """The documents with `hash < threshold` are the vocabulary's sample; returns the threshold, 0 to 2**64.

    Documents are taken in order of their hash while the sum of their lengths (bytes) stays within `limit_bytes`, so
    the choice depends neither on the order nor on the grouping of the arrays. Equal hashes go in or out together.
    The first document is always taken: a sample is never empty because one document is long.
    """
    order = np.argsort(hashes, kind="stable")
    ordered, total = hashes[order], np.cumsum(lengths[order], dtype=np.int64)
    beyond = int(np.searchsorted(total, limit_bytes, side="right"))
    if beyond >= len(ordered):
        return 1 << 64
    return max(int(ordered[beyond]), int(ordered[0]) + 1)


def _tab_separated(words: Counter[str]) -> Iterator[str]:
    for word in sorted(words):
        yield f"{word}\t{words[word]}"


def _lay_out(model: bytes, controls: int) -> tuple[bytes, int]:
    """Moves the control symbols behind the bytes: SentencePiece gives them ids 3 and up, where run.c wants bytes.

    A model is a protobuf message whose first field is repeated once a piece, in the order of the ids; moving those
    leaves the rest as it is. (The protobuf classes that SentencePiece ships need a newer protobuf than Beam allows.)
    Returns the model and the number of its pieces.
    """
    pieces: list[bytes] = []
    others: list[bytes] = []
    position = 0
    while position < len(model):
        start, tag = position, model[position]
        length, position = _varint(model, position + 1)
        position += length
        (pieces if tag == 0x0A else others).append(model[start:position])
    named, bytes_ = pieces[3 : 3 + controls], pieces[3 + controls : FIXED + controls]
    pieces[3 : FIXED + controls] = bytes_ + named
    return b"".join(pieces + others), len(pieces)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position

"""The vocabulary: its layout, what its texts may hold, what it says when there is too little text, and its sample."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics
from random import Random

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import ASCII, CONTROLS, SENTENCE_BYTES, alphabet, choose_sample, count_words, train

TEXTS = [topics[name] for name in sorted(topics)]  # 700 KB of prose and code that every Python carries
FOX = "敏捷的棕色狐狸跳过了懒狗。狐狸很快，狗很懒。"
CHINESE = FOX * 300 + "".join(Random(0).choices(FOX, k=5000))  # one "word" of 36 KB


@pytest.fixture(scope="module")
def model() -> bytes:
    return train(TEXTS, 4096)


def load(model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def pieces(model: bytes) -> list[str]:
    processor = load(model)
    return [processor.id_to_piece(id) for id in range(processor.get_piece_size())]


def learnt(model: bytes) -> list[str]:
    return pieces(model)[259 + len(CONTROLS) :]


def test_ids_are_unk_bos_eos_the_bytes_the_control_symbols_then_what_was_learnt(model: bytes) -> None:
    found = pieces(model)
    assert found[:3] == ["<unk>", "<s>", "</s>"]
    assert found[3:259] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert tuple(found[259 : 259 + len(CONTROLS)]) == CONTROLS
    processor = load(model)
    assert (processor.unk_id(), processor.bos_id(), processor.eos_id()) == (0, 1, 2)
    assert all(processor.is_byte(id) for id in range(3, 259))
    assert [id for id in range(4096) if processor.is_control(id)] == [1, 2, *range(259, 259 + len(CONTROLS))]


def test_the_vocabulary_has_exactly_the_size_asked(model: bytes) -> None:
    assert len(set(pieces(model))) == 4096
    assert len(pieces(train(TEXTS[:40], 700))) == 700


def test_the_same_texts_give_the_same_bytes_in_any_order(model: bytes) -> None:
    assert train(TEXTS[::-1], 4096) == model
    assert train(iter(TEXTS), 4096) == model


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    program = (
        "import sys; from pydoc_data.topics import topics; from pipeline.tokenize.vocabulary import train;"
        "sys.stdout.buffer.write(train(topics.values(), 1000))"
    )
    seeds = [os.environ | {"PYTHONHASHSEED": seed} for seed in ("1", "2")]
    first, second = (subprocess.run([sys.executable, "-c", program], env=env, capture_output=True) for env in seeds)
    assert first.stdout == second.stdout == train(topics.values(), 1000)
    assert first.stderr == b""  # SentencePiece's log is silent


def test_pieces_hold_a_space_only_at_their_start_or_alone(model: bytes) -> None:
    inside = [piece for piece in learnt(model) if "▁" in piece[1:] and piece.strip("▁")]
    assert inside == []
    assert "▁" in learnt(model)
    assert "▁▁▁▁" in learnt(model)  # indented code


def test_digits_stand_alone(model: bytes) -> None:
    assert [piece for piece in learnt(model) if len(piece) > 1 and any(c.isdigit() for c in piece)] == []


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", "\x1b", "\x7f"])
def test_control_characters_are_never_learnt(character: str) -> None:
    model = train([*TEXTS[:20], f"end{character}start" * 500], 1000)
    assert not any(character in piece for piece in learnt(model))


@pytest.mark.parametrize("mark", ["▁", "▅"])
def test_sentencepieces_own_marks_cost_a_text_nothing_but_themselves(mark: str) -> None:
    with_mark = learnt(train([*TEXTS[:20], f"zyxomma{mark}" * 500], 1000))
    assert "zyxomma" in with_mark
    assert mark not in "".join(piece.lstrip("▁") for piece in with_mark)


def test_a_line_longer_than_sentencepieces_limit_is_not_left_out() -> None:
    line = "qwertyism " * SENTENCE_BYTES
    assert "▁qwertyism" in learnt(train([*TEXTS[:20], line], 1000))


def test_a_word_longer_than_sentencepieces_limit_is_not_left_out() -> None:
    assert "狐狸" in learnt(train([CHINESE], 500))
    assert all(
        len(word.encode()) <= SENTENCE_BYTES for word in count_words(["𝄞" * 9999, " " * 9999, "a" + " " * 99 + "b"])
    )


def test_what_spells_a_control_symbol_is_not_learnt_as_one() -> None:
    model = train([*TEXTS[:20], "<s>hello</s> <|user|> <0x0A> <unk>" * 1000], 1000)
    assert not {"<s>", "</s>", "<|user|>", "<0x0A>", "<unk>"} & set(learnt(model))


def test_ascii_and_a_bare_space_are_pieces_even_of_a_chinese_sample() -> None:
    processor = load(train([CHINESE], 500))
    for character in ASCII:
        assert processor.piece_to_id(character.replace(" ", "▁")) > 265
    assert processor.encode("a b", out_type=str) == ["a", "▁", "b"]


def test_the_alphabet_never_takes_more_than_a_quarter_of_the_vocabulary() -> None:
    many = "".join(map(chr, range(0x4E00, 0x5E00))) * 3
    model = train([many, CHINESE, *TEXTS], 1000)
    assert sum(len(piece) == 1 for piece in learnt(model)) == 250
    assert "狐" in learnt(model)  # the frequent ones stay


def test_too_little_text_is_an_error_that_names_the_largest_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"fills a vocabulary of at most [\d,]+ pieces, not 8,192") as error:
        train(TEXTS[:2], 8192)
    largest = int(str(error.value).split("at most ")[1].split(" pieces")[0].replace(",", ""))
    assert 362 < largest < 8192
    assert len(pieces(train(TEXTS[:2], largest))) == largest


def test_no_text_at_all_is_an_error_too() -> None:
    with pytest.raises(ValueError, match="at most 361 pieces, not 362"):
        train([], 362)


def test_a_vocabulary_without_room_for_the_bytes_is_an_error_that_names_the_smallest() -> None:
    with pytest.raises(ValueError, match="ask for 362 or more"):
        train(TEXTS, 361)
    assert len(pieces(train(TEXTS, 362))) == 362


def test_words_keep_their_spaces_before_them() -> None:
    assert count_words(["a  b\n\n c ", "a"]) == Counter({"a": 2, "  b": 1, " c": 1, " ": 1})


def test_the_alphabet_is_what_covers_the_text() -> None:
    words = Counter({"é" * 97: 1, "è": 2, "ê": 1})
    assert alphabet(words, coverage=0.97, limit=200) == {*ASCII, "é"}
    assert alphabet(words, coverage=0.971, limit=200) == {*ASCII, "é", "è"}
    assert alphabet(words, coverage=1.0, limit=200) == {*ASCII, "é", "è", "ê"}
    assert alphabet(words, coverage=1.0, limit=97) == {*ASCII, "é", "è"}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 100))), st.integers(0, 500), st.randoms())
def test_the_sample_is_the_documents_of_lowest_hash_that_fit(
    documents: list[tuple[int, int]], limit: int, random: Random
) -> None:
    threshold = choose(documents, limit)
    shuffled = list(documents)
    random.shuffle(shuffled)
    assert choose(shuffled, limit) == threshold
    taken = sum(length for hash, length in documents if hash < threshold)
    first = sum(length for hash, length in documents if hash == min(documents)[0]) if documents else 0
    assert taken <= limit or taken == first
    beyond = [hash for hash, _ in documents if hash >= threshold]
    if beyond:  # one more hash would not fit
        assert sum(length for hash, length in documents if hash <= min(beyond)) > limit


def test_a_first_document_longer_than_the_limit_is_the_sample() -> None:
    assert choose([(7, 1000), (9, 1)], 10) == 8


def test_all_documents_are_the_sample_where_they_fit() -> None:
    assert choose([(2**64 - 1, 10), (3, 10)], 20) == 1 << 64
    assert choose([], 20) == 1 << 64


def choose(documents: list[tuple[int, int]], limit: int) -> int:
    hashes = np.array([hash for hash, _ in documents], np.uint64)
    return choose_sample(hashes, np.array([length for _, length in documents], np.int64), limit)


def test_english_and_japanese_books_fill_a_small_vocabulary(shared_data: Path) -> None:
    folder = shared_data / "text" / "data"
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("botchan.txt", "wagahaiwa_nekodearu.txt")]
    for size in (4096, 8192):
        tokenizer = Tokenizer(train(texts, size))
        assert tokenizer.size == size
        for text in texts:
            assert tokenizer.decode(tokenizer.encode(text)) == text

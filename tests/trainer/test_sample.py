from pathlib import Path

import sentencepiece

from trainer.sample import Decoder


def test_a_character_of_several_tokens_appears_whole(shards: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(shards / "tokenizer.model"))
    text = "the old cat – 猫🐈\nran ￼"
    tokens = pieces.encode(text)
    assert sum(pieces.is_byte(token) for token in tokens) >= 7
    decoder = Decoder(pieces)
    parts = [decoder.add(token) for token in [pieces.bos_id(), *tokens]]
    assert "".join(parts) == text
    assert decoder.finish() == ""
    assert "🐈" in parts
    assert "\ufffd" not in "".join(parts)


def test_a_character_cut_short_becomes_one_replacement_character(shards: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(shards / "tokenizer.model"))
    decoder = Decoder(pieces)
    assert [decoder.add(token) for token in pieces.encode("🐈")[:-1]] == ["", "", ""]
    assert decoder.finish() == "\ufffd"

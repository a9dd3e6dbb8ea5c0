from pathlib import Path

from pipeline.tokenize.encode import Tokenizer
from trainer.sample import Decoder


def test_a_character_of_several_tokens_appears_whole(shards: Path) -> None:
    tokenizer = Tokenizer((shards / "tokenizer.model").read_bytes())
    text = "the old cat – 猫🐈\nran ￼"
    tokens = tokenizer.encode(text)
    assert sum(tokenizer.piece(token).startswith("<0x") for token in tokens) >= 7
    decoder = Decoder(tokenizer)
    parts = [decoder.add(token) for token in [tokenizer.bos_id, *tokens]]
    assert "".join(parts) == text
    assert decoder.finish() == ""
    assert "🐈" in parts
    assert "\ufffd" not in "".join(parts)


def test_a_character_cut_short_becomes_one_replacement_character(shards: Path) -> None:
    tokenizer = Tokenizer((shards / "tokenizer.model").read_bytes())
    decoder = Decoder(tokenizer)
    assert [decoder.add(token) for token in tokenizer.encode("🐈")[:-1]] == ["", "", ""]
    assert decoder.finish() == "\ufffd"

from trainer.records.turns import hh_turns
from trainer.talk.conversation import Message


def test_a_dialogue_in_text_is_its_turns() -> None:
    text = "\n\nHuman: Hi\n\nHuman:again\n\nAssistant: Human: is a word,\n\nand so is Assistant"
    text += "\n\nHuman: \n\nAssistant: 1 "
    assert hh_turns(text, 9) == [
        Message("user", "Hi"),
        Message("user", "again"),
        Message("assistant", "Human: is a word,\n\nand so is Assistant"),
        Message("user", ""),
        Message("assistant", "1"),
    ]

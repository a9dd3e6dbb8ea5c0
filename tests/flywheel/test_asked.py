"""Who has learnt an answer has seen the question, and such as ask nearly the same."""

from hypothesis import given
from hypothesis import strategies as st

from flywheel.asked import Asked, asked


def ask(text: str) -> str:
    return asked([{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}])


def test_one_other_word_of_many_asks_the_same_and_of_few_does_not() -> None:
    long = (
        "Tell me in one short sentence what the capital city of Norway was called before it got its name from king {}."
    )
    assert ask(long.format("Olav")) in Asked([ask(long.format("Olaf"))])
    assert ask("What is the capital of Norway?") not in Asked([ask("What is the capital of Kenya?")])
    assert ask("Hello!") in Asked([asked([{"role": "user", "content": "hello"}])])
    assert ask("Hello") not in Asked([ask("Bye")])


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=8), max_size=6), st.lists(st.sampled_from("abc"), max_size=8))
def test_the_index_finds_what_comparing_each_finds(known: list[list[str]], prompt: list[str]) -> None:
    def grams(words: list[str]) -> set[str]:
        return {" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))} - {""}

    mine = grams(prompt)
    alike = [len(mine & grams(one)) / len(mine | grams(one)) >= 0.8 for one in known if mine | grams(one)]
    assert (" ".join(prompt) in Asked(map(" ".join, known))) == any(alike)

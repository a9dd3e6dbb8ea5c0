import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.records.conftest import ANSWERED, ASKED, said
from trainer.records.kinds import demonstration, prompt, ranking, unpaired
from trainer.talk.conversation import Message


@given(st.lists(st.integers(1, 5), min_size=2, max_size=6))
def test_a_ranking_gives_all_its_pairs(drawn: list[int]) -> None:
    levels = sorted(set(drawn))
    ranks = [levels.index(rank) + 1 for rank in drawn]
    texts = [f"answer {number}" for number in range(len(ranks))]
    record = ranking([ASKED], [said(text) for text in texts], ranks)
    found = {(record.completions[w][0].content, record.completions[r][0].content) for w, r in record.pairs()}
    both = itertools.permutations(range(len(ranks)), 2)
    assert found == {(texts[one], texts[two]) for one, two in both if ranks[one] < ranks[two]}
    assert len(found) == len(record.pairs())
    assert record.tied == (not found)
    if found:
        assert sum(pair.weight for pair in record.comparisons()) == pytest.approx(1)


def test_ids_are_those_that_the_labels_have() -> None:
    """A change of these is a change of the schema: what was labelled would not be found again."""

    def sha256(spelt: str) -> str:
        return hashlib.sha256(spelt.encode()).hexdigest()

    user = '{"content":"2 + 2?","role":"user"}'
    four, five = '{"content":"é","role":"assistant"}', '{"content":"5","role":"assistant"}'
    assert demonstration([ASKED, *said("é")]).id == sha256(f'["demonstration",[{user},{four}]]')
    assert ranking([ASKED], [said("5"), said("é")], [2, 1]).id == sha256(
        f'["ranking",[{user}],[[{four}],[{five}]],[1,2]]'
    )
    assert unpaired([ASKED], said("é"), True).id == sha256(f'["unpaired",[{user}],[{four}],true]')
    assert prompt([ASKED], "4").id == sha256(f'["prompt",[{user}],"4"]')
    assert prompt([ASKED]).id == sha256(f'["prompt",[{user}],null]')


def test_ids_differ_where_training_does() -> None:
    left_out = Message("assistant", "4", trained=False)
    ids = {
        demonstration([ASKED, ANSWERED]).id,
        demonstration([ASKED, left_out, ASKED, ANSWERED]).id,
        demonstration([ASKED, ANSWERED, ASKED, ANSWERED]).id,
        ranking([ASKED], [said("4"), said("5")], [1, 2]).id,
        ranking([ASKED], [said("4"), said("5")], [2, 1]).id,
        unpaired([ASKED], said("4"), True).id,
        unpaired([ASKED], said("4"), False).id,
        prompt([ASKED], "4").id,
        prompt([ASKED]).id,
    }
    assert len(ids) == 9
    assert ranking([ASKED, left_out, ASKED], [said("4"), said("5")], [1, 2]).id == (
        ranking([ASKED, ANSWERED, ASKED], [said("4"), said("5")], [1, 2]).id
    )

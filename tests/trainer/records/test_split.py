import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.trainer.records.conftest import ANSWERED, ASKED, said
from trainer.records import (
    Demonstration,
    digest,
    split,
)
from trainer.records.kinds import demonstration, prompt, ranking, unpaired
from trainer.talk.conversation import Message


def some(count: int) -> list[Demonstration]:
    return [demonstration([Message("user", f"question {number}"), ANSWERED]) for number in range(count)]


def test_the_split_depends_on_nothing_but_prompt_and_seed() -> None:
    records = some(1000)
    train, held_out = split(records, 0.2, seed=1)
    assert 150 < len(held_out) < 250
    assert {*train, *held_out} == {*records}
    shuffled = random.Random(0).sample(records, 500)
    again = split(shuffled, 0.2, seed=1)
    assert {*again[1]} == {*held_out} & {*shuffled}
    assert {*split(records, 0.2, seed=2)[1]} != {*held_out}
    assert {*held_out} <= {*split(records, 0.3, seed=1)[1]}
    assert split(records, 0) == (records, [])


def test_a_prompt_lies_on_one_side_in_every_kind() -> None:
    def side(records: Sequence[Any]) -> bool:
        train, held_out = split(records, 0.5, seed=3)
        assert not (train and held_out)
        return bool(train)

    sides = []
    for number in range(20):
        asked = Message("user", f"Question  {number}\n")
        kinds: list[Any] = [
            demonstration([asked, ANSWERED]),
            demonstration([Message("user", f"question {number}"), Message("assistant", "other")]),
            demonstration([Message("system", "Be brief."), asked, ANSWERED, ASKED, ANSWERED]),
            ranking([asked, ANSWERED, ASKED], [said("4"), said("5")], [1, 2]),
            unpaired([asked], said("4"), False),
            prompt([asked], "4"),
        ]
        assert len({side([record]) for record in kinds}) == 1
        sides.append(side(kinds))
    assert {*sides} == {True, False}


@pytest.mark.parametrize("share", [-0.1, 1, 1.5])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="the share to hold out"):
        split(some(1), share)


def test_the_digest_names_a_set_in_any_order() -> None:
    records = some(20)
    assert digest(records) == digest(records[::-1])
    assert digest(records) != digest(records[1:])
    heavier = demonstration(records[0].messages, weight=2)
    assert digest(records) != digest([heavier, *records[1:]])
    pair = ([ASKED], [said("4"), said("5")], [1, 2])
    assert digest([ranking(*pair)]) != digest([ranking(*pair, margin=1.0)])

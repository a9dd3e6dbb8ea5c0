"""A real model's remarks on answers: beside them, once, and never on a gold question."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling.critiques import ASKED, with_critiques
from labeling.drafts import Drafter, Endpoint
from labeling.kinds import KINDS
from labeling.kinds.kind import Sample, sample_id
from labeling.rows import Known, Rejected
from labeling.sources import make_sample
from tests.trainer.talk.serve.conftest import serving, write_model

pytestmark = pytest.mark.slow

KIND = KINDS["comparisons"]


@pytest.fixture(scope="module")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drafter]:
    folder = tmp_path_factory.mktemp("critic")
    with serving(write_model(folder / "model", 1, context=1024), folder / "reports.db") as server:
        # Hot enough to say something else each time, and with room to come to an end.
        yield Drafter(Endpoint.parse(server.url), max_tokens=300, temperature=1.0, retries=1)


def pair(number: int, **more: object) -> Sample:
    row = {"prompt": f"the cat and {number}?", "answers": ["a dog", "a mouse"], **more}
    return make_sample(KIND, row, {"line": number})


def test_remarks_stand_in_the_page_and_the_sample_is_another(critic: Drafter) -> None:
    given = [pair(number) for number in range(ASKED + 2)]
    made = [one for one in with_critiques(given, KIND.name, critic) if isinstance(one, Sample)]
    remarked = [one for one in made if "critiques" in one.content]
    assert len(made) == len(given)
    assert remarked, "the model ended none of its remarks"
    for one in remarked:
        assert one.id == sample_id(KIND.name, one.content)
        assert one.id not in {each.id for each in given}
        said = [place for place, text in zip("AB", one.content["critiques"], strict=True) if text.strip()]
        page = str(KIND.task(one.content, (0, 1)))
        assert [place for place in "AB" if f"A model's remarks on answer {place}" in page] == said
        assert critic.model not in page
        assert KIND.content(one.content) == one.content


def test_what_was_asked_before_is_not_asked_again(critic: Drafter) -> None:
    first = [one for one in with_critiques([pair(1), pair(2)], KIND.name, critic) if isinstance(one, Sample)]
    before = {one.provenance["asked"] for one in first}
    again = list(with_critiques([pair(1), pair(2), pair(3)], KIND.name, critic, before))
    assert [one.provenance["line"] for one in again if isinstance(one, Sample)] == [3]


def test_gold_bad_rows_and_rows_with_remarks_pass_as_they_are(critic: Drafter) -> None:
    gold = make_sample(KIND, {"prompt": "q?", "answers": ["a", "b"], "gold": {"choice": "a", "margin": 1}}, {})
    given: list[Sample | Rejected] = [pair(1, critiques=["too short", ""]), Rejected("x:1", "no row")]
    if gold.gold is not None:
        given.append(gold)
    assert list(with_critiques(given, KIND.name, critic)) == given


def test_the_same_pair_twice_is_remarked_on_once(critic: Drafter) -> None:
    found = list(with_critiques([pair(1), pair(1)], KIND.name, critic))
    assert {type(one) for one in found} == {Sample, Known}
    assert len(found) == 2


def test_kinds_without_two_answers_pass_as_they_are(critic: Drafter) -> None:
    kind = KINDS["demonstrations"]
    one = make_sample(kind, {"messages": [{"role": "user", "content": "q?"}]}, {})
    assert list(with_critiques([one], kind.name, critic)) == [one]


def test_the_file_of_a_remark_is_known(critic: Drafter, tmp_path: Path) -> None:
    (made,) = with_critiques([pair(7)], KIND.name, critic)
    assert isinstance(made, Sample)
    assert made.provenance["line"] == 7
    assert made.provenance["critic"] == f"{critic.model}@{critic.url}"

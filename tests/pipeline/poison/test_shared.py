"""What the corpus as a whole shows about a batch."""

import pyarrow as pa
import pytest

from pipeline.document import SCHEMA
from pipeline.poison.campaigns import Campaigns
from pipeline.poison.finding import Findings
from pipeline.poison.shared import Shared, point
from pipeline.poison.text_model import TextModel
from tests.pipeline.poison.test_campaigns import CLEAN, Corpus, planted


def batch(texts: list[str]) -> pa.RecordBatch:
    rows = [dict.fromkeys(SCHEMA.names) | {"address": number, "text": text} for number, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def no_model() -> TextModel:
    raise AssertionError("there is no campaign, so nothing to read it for")


def test_without_a_campaign_the_text_model_is_not_read() -> None:
    findings = Findings()
    assert point(Shared(), batch(["One page.", "Another."]), no_model, findings) == {}
    assert findings.rows == []


def test_with_one_it_is_and_the_owners_are_counted() -> None:
    texts = [*CLEAN, *planted(2, 10, "q8Zk2p")]
    corpus, findings = Corpus(texts), Findings()
    shared = Shared(campaigns=Campaigns.merge([corpus.campaigns]))
    with pytest.raises(AssertionError):
        point(shared, batch(texts), no_model, findings)
    owners = point(shared, batch(texts), lambda: corpus.model, findings)
    assert owners == {(document, rule, start): 10 for document, rule, start, *_ in findings.rows}
    assert {row[0] for row in findings.rows} == set(range(300, 310))

"""The payload of an archive record: what the server sent, without the HTTP head."""

from pipeline.crawl.http import split_response
from pipeline.crawl.warc import Record


def payload_of(record: Record) -> bytes:
    """The bytes by which a record is compared with others and named: as transferred, not decoded."""
    return split_response(record.block)[1] if record.is_http else record.block

"""Archives of the benchmark's own making: planted pages, clean pages, and clean texts that need no extraction again."""

import hashlib
import io
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

FIRST_DAY = datetime(2024, 1, 1)


class Document(NamedTuple):
    """A page (HTML) or a text, its address on the web and its date; "" gives it its site's date."""

    url: str
    body: str
    date: str = ""
    is_text: bool = False


def date_of(url: str) -> str:
    """Two weeks of 2024 by the site's name, and a minute in them by the page's.

    The sample crawl was written within an hour, which no crawl is.
    """
    day = _number(urlsplit(url).hostname or "") % 352
    return f"{(FIRST_DAY + timedelta(days=day, minutes=_number(url) % (14 * 24 * 60))).isoformat()}Z"


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Write a WARC file of responses (pages) and conversions (texts), whole or not at all; returns their number.

    Equal documents give equal bytes: record ids follow from the URL.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    number = 0
    with temporary.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for document in documents:
            identifier = hashlib.blake2b(f"{number} {document.url}".encode(), digest_size=12).hexdigest()
            headers = {
                "WARC-Date": document.date or date_of(document.url),
                "WARC-Record-ID": f"<urn:poison:{identifier}>",
            }
            body = io.BytesIO(document.body.encode("utf-8", "replace"))
            if document.is_text:
                record = writer.create_warc_record(
                    document.url, "conversion", body, warc_content_type="text/plain", warc_headers_dict=headers
                )
            else:
                http = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], "HTTP/1.1")
                record = writer.create_warc_record(
                    document.url, "response", body, http_headers=http, warc_headers_dict=headers
                )
            writer.write_record(record)
            number += 1
    temporary.replace(path)
    return number

# Placeholder by the integrator until the real module arrives; overwrite it.
import gzip
from dataclasses import dataclass
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

@dataclass(frozen=True)
class Payload:
    status: int | None
    content_type: str
    charset: str | None
    raw: bytes
    body: bytes
    error: str | None

def split_response(block):
    head, _, raw = block.partition(b"\r\n\r\n")
    return head, raw

def parse_response(block, *, max_body_bytes):
    head, raw = split_response(block)
    lines = head.split(b"\r\n")
    fields = {k.strip().lower(): v.strip() for k, _, v in (l.partition(b":") for l in lines[1:])}
    try: status = int(lines[0].split()[1])
    except (IndexError, ValueError): status = None
    media = fields.get(b"content-type", b"").decode("latin-1").split(";")[0].strip().lower()
    return Payload(status, media, None, raw, raw, None)

def sniff_html(body): return b"<html" in body[:2000].lower()

def decode_text(body, header_charset, is_html):
    enc = header_charset or detect_encoding(body)
    return bytes_to_str(body, enc).replace("\x00", ""), enc

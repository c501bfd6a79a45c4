"""The dictionary that both sides prime zlib with before the first header block.

A fact of the protocol (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1): words as a header block would carry them,
each after its length in 32 bits, and then text that headers often contain. Kept as data; a test holds its checksum to
the draft's.
"""

from __future__ import annotations

_REQUEST_METHODS = "options head post put delete trace"
_HEADERS = (
    "accept accept-charset accept-encoding accept-language accept-ranges age allow authorization cache-control"
    " connection content-base content-encoding content-language content-length content-location content-md5"
    " content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range"
    " if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range"
    " referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate"
)
_PAIRS = (
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
)
_STATUS_CODES = (
    100, 101, 201, 202, 205, 206, 300, 302, 303, 304, 305, 306, 307, 402, 405, 406, 407, 408, 409, 410, 411, 412, 413,
    414, 415, 416, 417, 502, 504, 505,
)  # fmt: skip
_STATUS_LINES = (
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (301, "Moved Permanently"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (503, "Service Unavailable"),
)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec"
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MEDIA_TYPES = (
    "text/html",
    "image/png",
    "image/jpg",
    "image/gif",
    "application/xml",
    "application/xhtml+xml",
    "text/plain",
    "text/javascript",
)
_VALUES = (
    ",public",
    "private",
    "max-age=",
    "gzip,deflate,sdch",
    "charset=utf-8",
    "charset=iso-8859-1",
    ",utf-,*,enq=0.",
)


def _build() -> bytes:
    words = (*_REQUEST_METHODS.split(), *_HEADERS.split(), *_PAIRS)
    lengths = b"".join(len(word).to_bytes(4, "big") + word.encode() for word in words)
    text = "".join(map(str, _STATUS_CODES)) + "".join(f"{code} {reason}" for code, reason in _STATUS_LINES)
    text += f"{_MONTHS} 00:00:00 " + "".join(f"{day}, " for day in _WEEKDAYS) + "GMT"
    text += "chunked," + ",".join(_MEDIA_TYPES) + "".join(_VALUES)
    return lengths + text.encode()


HEADER_DICTIONARY = _build()

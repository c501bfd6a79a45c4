"""SPDY/3.1 frames as values, their encoding, and a reader that takes bytes in any pieces.

Data frames are not collected: each piece of one is a ``Data`` of its own, the last with the frame's ``fin``, so a frame
of 16 MiB needs no buffer. All else is bounded by ``Limits``. Whatever the bytes, the reader raises ProtocolError or
nothing. Source: draft-mbelshe-httpbis-spdy-00, section 2.6.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from knarr_runtime.streaming.spdy.dictionary import HEADER_DICTIONARY

VERSION = 3
MAX_STREAM_ID = 0x7FFFFFFF
MAX_DATA_BYTES = (1 << 24) - 1
_HEADER = struct.Struct(">II")
_WORD = struct.Struct(">I")
_TWO_WORDS = struct.Struct(">II")
_FIN, _UNIDIRECTIONAL = 0x01, 0x02

Headers = tuple[tuple[str, str], ...]


class Kind(enum.IntEnum):
    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    HEADERS = 8
    WINDOW_UPDATE = 9


class Status(enum.IntEnum):
    """Of RST_STREAM."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    UNSUPPORTED_VERSION = 4
    CANCEL = 5
    INTERNAL_ERROR = 6
    FLOW_CONTROL_ERROR = 7
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9
    FRAME_TOO_LARGE = 11


class Setting(enum.IntEnum):
    MAX_CONCURRENT_STREAMS = 4
    INITIAL_WINDOW_SIZE = 7


class ProtocolError(Exception):
    """The peer does not speak SPDY/3.1, or more of it than is allowed; the session can't go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """control_bytes: of one control frame. header_bytes: of one header block, inflated. headers, settings: entries."""

    control_bytes: int = 64 << 10
    header_bytes: int = 64 << 10
    headers: int = 128
    settings: int = 64


@dataclass(frozen=True, slots=True)
class SynStream:
    stream_id: int
    headers: Headers
    fin: bool = False
    unidirectional: bool = False
    associated_id: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SynReply:
    stream_id: int
    headers: Headers = ()
    fin: bool = False


@dataclass(frozen=True, slots=True)
class MoreHeaders:
    stream_id: int
    headers: Headers
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    values: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Ping:
    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_stream_id: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """stream_id 0 is the session's window."""

    stream_id: int
    delta: int


@dataclass(frozen=True, slots=True)
class Data:
    stream_id: int
    data: bytes
    fin: bool = False


Frame = SynStream | SynReply | MoreHeaders | RstStream | Settings | Ping | GoAway | WindowUpdate | Data


class FrameWriter:
    """Encodes one direction's frames; in order, as all header blocks share one compression."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=HEADER_DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream_id, data, fin):
                return data_header(stream_id, len(data), fin=fin) + data
            case SynStream():
                head = struct.pack(">IIBB", frame.stream_id, frame.associated_id, frame.priority << 5, 0)
                flags = _FIN * frame.fin | _UNIDIRECTIONAL * frame.unidirectional
                return _control(Kind.SYN_STREAM, flags, head + self._block(frame.headers))
            case SynReply(stream_id, headers, fin):
                return _control(Kind.SYN_REPLY, _FIN * fin, _WORD.pack(stream_id) + self._block(headers))
            case MoreHeaders(stream_id, headers, fin):
                return _control(Kind.HEADERS, _FIN * fin, _WORD.pack(stream_id) + self._block(headers))
            case RstStream(stream_id, status):
                return _control(Kind.RST_STREAM, 0, _TWO_WORDS.pack(stream_id, status))
            case Settings(values):
                body = b"".join(_TWO_WORDS.pack(name, value) for name, value in values)
                return _control(Kind.SETTINGS, 0, _WORD.pack(len(values)) + body)
            case Ping(ping_id):
                return _control(Kind.PING, 0, _WORD.pack(ping_id))
            case GoAway(last_stream_id, status):
                return _control(Kind.GOAWAY, 0, _TWO_WORDS.pack(last_stream_id, status))
            case WindowUpdate(stream_id, delta):
                return _control(Kind.WINDOW_UPDATE, 0, _TWO_WORDS.pack(stream_id, delta))

    def _block(self, headers: Headers) -> bytes:
        parts = [_WORD.pack(len(headers))]
        for name, value in headers:
            for text in (name.lower().encode(), value.encode()):
                parts += (_WORD.pack(len(text)), text)
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data_header(stream_id: int, length: int, *, fin: bool) -> bytes:
    """What precedes the ``length`` bytes of a data frame."""
    return _HEADER.pack(stream_id, (_FIN if fin else 0) << 24 | length)


def _control(kind: Kind, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(1 << 31 | VERSION << 16 | kind, flags << 24 | len(body)) + body


class FrameReader:
    """Decodes one direction. After a ProtocolError it is of no more use."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._inflate = zlib.decompressobj(zdict=HEADER_DICTIONARY)
        self._rest = b""
        self._data: tuple[int, int, bool] | None = None  # stream, bytes still to come, fin

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Take all before feeding more. Raises ProtocolError."""
        view, position = self._rest + data if self._rest else data, 0
        try:
            while True:
                if self._data is not None:
                    stream_id, left, fin = self._data
                    part = view[position : position + left]
                    if not part and left:
                        return
                    position += len(part)
                    left -= len(part)
                    self._data = (stream_id, left, fin) if left else None
                    yield Data(stream_id, part, fin and not left)
                    continue
                if len(view) - position < _HEADER.size:
                    return
                first, second = _HEADER.unpack_from(view, position)
                length = second & 0xFFFFFF
                if not first >> 31:
                    position += _HEADER.size
                    if not first:
                        raise ProtocolError("data for stream 0")
                    self._data = (first, length, bool(second >> 24 & _FIN))
                    continue
                if first >> 16 & 0x7FFF != VERSION:
                    raise ProtocolError(f"SPDY version {first >> 16 & 0x7FFF}, not {VERSION}")
                if length > self._limits.control_bytes:
                    raise ProtocolError(f"control frame of {length} bytes, allowed {self._limits.control_bytes}")
                if len(view) - position < _HEADER.size + length:
                    return
                body = view[position + _HEADER.size : position + _HEADER.size + length]
                position += _HEADER.size + length
                frame = self._control(first & 0xFFFF, second >> 24, body)
                if frame is not None:
                    yield frame
        finally:
            self._rest = view[position:]

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | None:
        """None: a kind this version does not know, which is to be ignored."""
        match kind:
            case Kind.SYN_STREAM:
                stream_id, associated_id, priority = _unpack(">IIBx", body, "SYN_STREAM")
                headers = self._headers(body[10:])
                return SynStream(
                    _id(stream_id),
                    headers,
                    bool(flags & _FIN),
                    bool(flags & _UNIDIRECTIONAL),
                    associated_id & MAX_STREAM_ID,
                    priority >> 5,
                )
            case Kind.SYN_REPLY:
                (stream_id,) = _unpack(">I", body, "SYN_REPLY")
                return SynReply(_id(stream_id), self._headers(body[4:]), bool(flags & _FIN))
            case Kind.HEADERS:
                (stream_id,) = _unpack(">I", body, "HEADERS")
                return MoreHeaders(_id(stream_id), self._headers(body[4:]), bool(flags & _FIN))
            case Kind.RST_STREAM:
                stream_id, status = _unpack(">II", body, "RST_STREAM")
                return RstStream(_id(stream_id), status)
            case Kind.SETTINGS:
                return self._settings(body)
            case Kind.PING:
                return Ping(*_unpack(">I", body, "PING"))
            case Kind.GOAWAY:
                last_stream_id, status = _unpack(">II", body, "GOAWAY")
                return GoAway(last_stream_id & MAX_STREAM_ID, status)
            case Kind.WINDOW_UPDATE:
                stream_id, delta = _unpack(">II", body, "WINDOW_UPDATE")
                return WindowUpdate(stream_id & MAX_STREAM_ID, delta & MAX_STREAM_ID)
            case _:
                return None

    def _settings(self, body: bytes) -> Settings:
        (count,) = _unpack(">I", body, "SETTINGS")
        if count > self._limits.settings or len(body) != 4 + 8 * count:
            raise ProtocolError(f"SETTINGS with {count} entries in {len(body)} bytes")
        values = _TWO_WORDS.iter_unpack(body[4:])
        return Settings(tuple((name & 0xFFFFFF, value) for name, value in values))

    def _headers(self, block: bytes) -> Headers:
        limit = self._limits.header_bytes
        try:
            data = self._inflate.decompress(block, limit + 1)
        except zlib.error as error:
            raise ProtocolError(f"header block: {error}") from None
        if len(data) > limit or self._inflate.unconsumed_tail:
            raise ProtocolError(f"header block larger than {limit} bytes")
        if self._inflate.eof:
            raise ProtocolError("header block: the compression has ended")
        (count,) = _unpack(">I", data, "header block")
        if count > self._limits.headers:
            raise ProtocolError(f"{count} headers, allowed {self._limits.headers}")
        texts, rest = _texts(data, 4, 2 * count)
        if rest != len(data):
            raise ProtocolError("header block longer than its headers")
        headers = tuple(zip(texts[::2], texts[1::2], strict=True))
        _check_names(name for name, _ in headers)
        return headers


def _texts(data: bytes, position: int, count: int) -> tuple[list[str], int]:
    """``count`` strings after their lengths, and where they end."""
    texts = []
    for _ in range(count):
        (length,) = _unpack(">I", data[position : position + 4], "header block")
        position += 4
        if length > len(data) - position:
            raise ProtocolError("header block shorter than its headers")
        texts.append(data[position : position + length].decode("utf-8", "replace"))
        position += length
    return texts, position


def _check_names(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or name != name.lower() or name in seen:
            raise ProtocolError(f"header name {name[:64]!r} is empty, doubled or not in lower case")
        seen.add(name)


def _unpack(form: str, body: bytes, what: str) -> tuple[int, ...]:
    if len(body) < struct.calcsize(form):
        raise ProtocolError(f"{what} of {len(body)} bytes is too short")
    return struct.unpack_from(form, body)


def _id(stream_id: int) -> int:
    stream_id &= MAX_STREAM_ID
    if not stream_id:
        raise ProtocolError("control frame for stream 0")
    return stream_id

"""One side of a SPDY/3.1 session as a state machine: bytes in, events and bytes out. No I/O, no clock.

A stream of it::

    (none) ──SYN_STREAM──► opened ──reply()──► open ──FIN of one side──► half closed ──FIN of the other──► (forgotten)
                             └──────────┴───────── RST_STREAM of either side ─────────┴──────────────────► (forgotten)

Flow control: what is consumed here is credited to the peer, as the protocol wants it. But the peers in use (moby's
spdystream, in every client-go) neither keep to a window nor credit one: windows here are not enforced, and those of the
peer are kept to from the moment it names one (SETTINGS or WINDOW_UPDATE). Bounding memory is the session's part, which
stops reading.
"""

from __future__ import annotations

from dataclasses import dataclass

from knarr_runtime.streaming.spdy import frames
from knarr_runtime.streaming.spdy.frames import Frame, Headers, Limits, ProtocolError, Status

DEFAULT_WINDOW = 64 << 10
_MAX_WINDOW = 0x7FFFFFFF
_PROTOCOL_ERROR_GOAWAY = 1


@dataclass(frozen=True, slots=True)
class Opened:
    stream_id: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Replied:
    stream_id: int


@dataclass(frozen=True, slots=True)
class Received:
    stream_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer will send no more on the stream."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The peer gave the stream up."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Credited:
    """More may be sent, on one stream or (0) on all."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer opens no more streams and accepts none."""

    status: int


Event = Opened | Replied | Received | Ended | Reset | Credited | GoneAway


@dataclass(slots=True)
class _Stream:
    window: int
    uncredited: int = 0
    replied: bool = False
    ended_here: bool = False
    ended_there: bool = False


class Connection:
    """client: streams opened here get odd numbers, those of the peer must have even ones; else the other way round."""

    def __init__(self, *, client: bool, max_streams: int = 256, limits: Limits | None = None) -> None:
        self._client = client
        self._max_streams = max_streams
        self._reader = frames.FrameReader(limits or Limits())
        self._writer = frames.FrameWriter()
        self._out: list[bytes] = []
        self._streams: dict[int, _Stream] = {}
        self._last_peer_id = 0
        self._next_id = 1 if self._client else 2
        self._window = DEFAULT_WINDOW
        self._peer_initial_window = DEFAULT_WINDOW
        self._peer_has_windows = False
        self._uncredited = 0
        self._gone_away = False

    # what the peer sends

    def receive(self, data: bytes) -> list[Event]:
        """What ``data``, any piece of the peer's bytes, means. Raises ProtocolError, after which all is over;
        ``outgoing`` then has the farewell."""
        events: list[Event] = []
        try:
            for frame in self._reader.feed(data):
                self._take(frame, events)
        except ProtocolError:
            self.go_away(_PROTOCOL_ERROR_GOAWAY)
            raise
        return events

    def _take(self, frame: Frame, events: list[Event]) -> None:
        match frame:
            case frames.Data(stream_id, data, fin):
                self._take_data(stream_id, data, fin, events)
            case frames.SynStream():
                self._take_stream(frame, events)
            case frames.SynReply(stream_id, _, fin):
                self._take_reply(stream_id, fin, events)
            case frames.MoreHeaders(stream_id, _, fin):
                if fin and stream_id in self._streams:
                    self._end_there(stream_id, events)
            case frames.RstStream(stream_id, status):
                if self._streams.pop(stream_id, None) is not None:
                    events.append(Reset(stream_id, status))
            case frames.Settings(values):
                self._take_settings(values, events)
            case frames.Ping(ping_id):
                if bool(ping_id % 2) != self._client:
                    self._send(frame)
            case frames.GoAway(_, status):
                events.append(GoneAway(status))
            case frames.WindowUpdate(stream_id, delta):
                self._take_credit(stream_id, delta, events)

    def _take_stream(self, frame: frames.SynStream, events: list[Event]) -> None:
        stream_id = frame.stream_id
        if bool(stream_id % 2) == self._client or stream_id <= self._last_peer_id:
            raise ProtocolError(f"stream {stream_id} opened after {self._last_peer_id}, or of the wrong side")
        self._last_peer_id = stream_id
        if self._gone_away:
            return
        if len(self._streams) >= self._max_streams:
            self._send(frames.RstStream(stream_id, Status.REFUSED_STREAM))
            return
        self._streams[stream_id] = _Stream(self._peer_initial_window, ended_here=frame.unidirectional)
        events.append(Opened(stream_id, frame.headers))
        if frame.fin:
            self._end_there(stream_id, events)

    def _take_reply(self, stream_id: int, fin: bool, events: list[Event]) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if bool(stream_id % 2) != self._client or stream.replied:
            self.reset(stream_id, Status.STREAM_IN_USE)
            events.append(Reset(stream_id, Status.STREAM_IN_USE))
            return
        stream.replied = True
        events.append(Replied(stream_id))
        if fin:
            self._end_there(stream_id, events)

    def _take_data(self, stream_id: int, data: bytes, fin: bool, events: list[Event]) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:  # reset here while it was under way, or never opened: either way nobody waits for it
            self._credit_session(len(data))
            return
        if stream.ended_there:
            self._credit_session(len(data))
            self.reset(stream_id, Status.STREAM_ALREADY_CLOSED)
            events.append(Reset(stream_id, Status.STREAM_ALREADY_CLOSED))
            return
        if data:
            events.append(Received(stream_id, data))
        if fin:
            self._end_there(stream_id, events)

    def _end_there(self, stream_id: int, events: list[Event]) -> None:
        stream = self._streams[stream_id]
        if stream.ended_there:
            return
        stream.ended_there = True
        events.append(Ended(stream_id))
        self._forget_if_over(stream_id)

    def _take_settings(self, values: tuple[tuple[int, int], ...], events: list[Event]) -> None:
        for name, value in values:
            if name == frames.Setting.INITIAL_WINDOW_SIZE:
                change = min(value, _MAX_WINDOW) - self._peer_initial_window
                self._peer_initial_window += change
                for stream in self._streams.values():
                    stream.window += change
                self._peer_has_windows = True
                events.append(Credited(0))

    def _take_credit(self, stream_id: int, delta: int, events: list[Event]) -> None:
        self._peer_has_windows = True
        if not stream_id:
            self._window += delta
            if self._window > _MAX_WINDOW:
                raise ProtocolError("the session's window overflows")
            events.append(Credited(0))
        elif (stream := self._streams.get(stream_id)) is not None:
            stream.window += delta
            if stream.window > _MAX_WINDOW:
                self.reset(stream_id, Status.FLOW_CONTROL_ERROR)
                events.append(Reset(stream_id, Status.FLOW_CONTROL_ERROR))
            else:
                events.append(Credited(stream_id))

    # what is sent

    def open(self, headers: Headers, *, fin: bool = False) -> int:
        """A new stream's number."""
        stream_id = self._next_id
        self._next_id += 2
        self._streams[stream_id] = _Stream(self._peer_initial_window, ended_here=fin)
        self._send(frames.SynStream(stream_id, headers, fin=fin))
        return stream_id

    def reply(self, stream_id: int) -> None:
        """Accept a stream of the peer's."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.replied:
            stream.replied = True
            self._send(frames.SynReply(stream_id))

    def sendable(self, stream_id: int) -> int:
        """How many bytes may be sent on a stream now; 0 also for one that is over."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.ended_here:
            return 0
        if not self._peer_has_windows:
            return frames.MAX_DATA_BYTES
        return max(0, min(self._window, stream.window, frames.MAX_DATA_BYTES))

    def send(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        """At most ``sendable`` bytes. On a stream that is over it has no effect."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.ended_here:
            return
        stream.window -= len(data)
        self._window -= len(data)
        self._out += (frames.data_header(stream_id, len(data), fin=fin), data)
        if fin:
            stream.ended_here = True
            self._forget_if_over(stream_id)

    def consumed(self, stream_id: int, count: int) -> None:
        """Bytes received were used: the peer may send as many again. Told once half a window has come together."""
        self._credit_session(count)
        stream = self._streams.get(stream_id)
        if stream is None or stream.ended_there:
            return
        stream.uncredited += count
        if stream.uncredited >= DEFAULT_WINDOW // 2:
            self._send(frames.WindowUpdate(stream_id, stream.uncredited))
            stream.uncredited = 0

    def _credit_session(self, count: int) -> None:
        self._uncredited += count
        if self._uncredited >= DEFAULT_WINDOW // 2:
            self._send(frames.WindowUpdate(0, self._uncredited))
            self._uncredited = 0

    def reset(self, stream_id: int, status: Status = Status.CANCEL) -> None:
        """Give a stream up, in both directions."""
        if self._streams.pop(stream_id, None) is not None:
            self._send(frames.RstStream(stream_id, status))

    def go_away(self, status: int = 0) -> None:
        """No new streams from the peer; once."""
        if not self._gone_away:
            self._gone_away = True
            self._send(frames.GoAway(self._last_peer_id, status))

    def outgoing(self) -> list[bytes]:
        """What to send to the peer now, in pieces that belong together in this order."""
        out, self._out = self._out, []
        return out

    def streams(self) -> frozenset[int]:
        """Those not over."""
        return frozenset(self._streams)

    def _send(self, frame: Frame) -> None:
        self._out.append(self._writer.encode(frame))

    def _forget_if_over(self, stream_id: int) -> None:
        stream = self._streams[stream_id]
        if stream.ended_here and stream.ended_there:
            del self._streams[stream_id]

"""SPDY framing and connections: any pieces decode the same, and no bytes do worse than a protocol error."""

from __future__ import annotations

import itertools
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_runtime.streaming.spdy import connection, frames
from knarr_runtime.streaming.spdy.connection import Connection
from knarr_runtime.streaming.spdy.dictionary import HEADER_DICTIONARY
from knarr_runtime.streaming.spdy.frames import FrameReader, FrameWriter, Limits, ProtocolError

IDS = st.integers(1, frames.MAX_STREAM_ID)
WORDS = st.integers(0, 0xFFFFFFFF)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-:", min_size=1, max_size=12)
HEADERS = st.dictionaries(NAMES, st.text(max_size=40), max_size=8).map(lambda found: tuple(found.items()))
FRAMES = st.one_of(
    st.builds(frames.SynStream, IDS, HEADERS, st.booleans(), st.booleans(), st.just(0), st.integers(0, 7)),
    st.builds(frames.SynReply, IDS, HEADERS, st.booleans()),
    st.builds(frames.MoreHeaders, IDS, HEADERS, st.booleans()),
    st.builds(frames.RstStream, IDS, WORDS),
    st.builds(frames.Settings, st.lists(st.tuples(st.integers(0, 0xFFFFFF), WORDS), max_size=8).map(tuple)),
    st.builds(frames.Ping, WORDS),
    st.builds(frames.GoAway, st.integers(0, frames.MAX_STREAM_ID), WORDS),
    st.builds(frames.WindowUpdate, st.integers(0, frames.MAX_STREAM_ID), st.integers(0, frames.MAX_STREAM_ID)),
    st.builds(frames.Data, IDS, st.binary(max_size=300), st.booleans()),
)


def joined(found: list[frames.Frame], whole: list[frames.Frame]) -> list[frames.Frame]:
    """Pieces of data frames put together, as ``whole`` says where they end."""
    result: list[frames.Frame] = []
    rest = iter(found)
    for frame in whole:
        got = next(rest)
        if isinstance(frame, frames.Data):
            while isinstance(got, frames.Data) and len(got.data) < len(frame.data):
                more = next(rest)
                assert isinstance(more, frames.Data) and more.stream_id == got.stream_id and not got.fin
                got = frames.Data(got.stream_id, got.data + more.data, more.fin)
        result.append(got)
    assert next(rest, None) is None
    return result


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 1 << 20), max_size=30))
def test_frames_come_out_as_they_went_in_whatever_the_pieces(sent: list[frames.Frame], cuts: list[int]) -> None:
    writer, reader = FrameWriter(), FrameReader(Limits())
    data = b"".join(writer.encode(frame) for frame in sent)
    found = [frame for piece in pieces(data, cuts) for frame in reader.feed(piece)]
    assert joined(found, sent) == sent


@given(st.binary(max_size=400), st.lists(st.integers(0, 1 << 20), max_size=8), st.booleans())
@settings(max_examples=500)
def test_garbage_is_a_protocol_error_at_worst(data: bytes, cuts: list[int], client: bool) -> None:
    receiver = Connection(client=client)
    try:
        for piece in pieces(data, cuts):
            receiver.receive(piece)
    except ProtocolError:
        pass


@given(st.lists(FRAMES, max_size=10), st.integers(0, 1 << 20), st.integers(0, 255))
@settings(max_examples=500)
def test_one_wrong_byte_is_a_protocol_error_at_worst(sent: list[frames.Frame], where: int, value: int) -> None:
    writer, receiver = FrameWriter(), Connection(client=False)
    data = bytearray(b"".join(writer.encode(frame) for frame in sent))
    if data:
        data[where % len(data)] = value
    try:
        receiver.receive(bytes(data))
    except ProtocolError:
        pass


@given(st.binary(min_size=1, max_size=200))
def test_any_header_block_is_read_or_refused(block: bytes) -> None:
    deflate = zlib.compressobj(zdict=HEADER_DICTIONARY)
    body = struct.pack(">I", 1) + deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)
    try:
        list(FrameReader(Limits()).feed(struct.pack(">II", 0x80030002, len(body)) + body))
    except ProtocolError:
        pass


def test_the_dictionary_is_the_one_of_the_draft() -> None:
    assert (len(HEADER_DICTIONARY), zlib.adler32(HEADER_DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_a_header_block_that_inflates_beyond_the_limit_is_refused_without_inflating_it() -> None:
    bomb = FrameWriter().encode(frames.SynStream(1, (("a", "0" * (8 << 20)),)))
    assert len(bomb) < 64 << 10
    with pytest.raises(ProtocolError, match="larger than"):
        list(FrameReader(Limits()).feed(bomb))


def test_a_control_frame_beyond_the_limit_is_refused_before_it_has_come() -> None:
    with pytest.raises(ProtocolError, match="control frame of 16777215 bytes"):
        list(FrameReader(Limits()).feed(struct.pack(">II", 0x80030001, 0xFFFFFF)))


@pytest.mark.parametrize("headers", [(("A", "b"),), (("", "b"),)])
def test_header_names_must_be_in_lower_case_and_not_empty(headers: frames.Headers) -> None:
    writer = FrameWriter()
    text = struct.pack(">II", 1, len(headers[0][0])) + headers[0][0].encode() + struct.pack(">I", 1) + b"b"
    block = zlib.compressobj(zdict=HEADER_DICTIONARY)
    body = struct.pack(">I", 1) + block.compress(text) + block.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(ProtocolError, match="lower case"):
        list(FrameReader(Limits()).feed(struct.pack(">II", 0x80030002, len(body)) + body))
    assert writer.encode(frames.SynReply(1, (("UPPER", "x"),)))  # ours are made lower


def pair() -> tuple[Connection, Connection]:
    return Connection(client=True), Connection(client=False)


def pass_on(sender: Connection, receiver: Connection) -> list[connection.Event]:
    return receiver.receive(b"".join(sender.outgoing()))


def test_a_stream_lives_until_both_sides_have_ended_it() -> None:
    client, server = pair()
    stream = client.open((("streamtype", "data"),))
    assert pass_on(client, server) == [connection.Opened(1, (("streamtype", "data"),))]
    server.reply(stream)
    server.send(stream, b"out", fin=True)
    assert pass_on(server, client) == [
        connection.Replied(1),
        connection.Received(1, b"out"),
        connection.Ended(1),
    ]
    assert server.streams() == {1}
    client.send(stream, b"in", fin=True)
    assert pass_on(client, server) == [connection.Received(1, b"in"), connection.Ended(1)]
    assert not server.streams() and not client.streams()


def test_streams_beyond_the_limit_are_refused_and_the_others_go_on() -> None:
    client, server = Connection(client=True), Connection(client=False, max_streams=2)
    for _ in range(3):
        client.open(())
    assert len(pass_on(client, server)) == 2
    assert pass_on(server, client) == [connection.Reset(5, frames.Status.REFUSED_STREAM)]


@pytest.mark.parametrize("stream_id", [2, 1])
def test_a_stream_of_the_wrong_side_or_number_ends_the_session(stream_id: int) -> None:
    server, writer = Connection(client=False), FrameWriter()
    server.receive(writer.encode(frames.SynStream(1, ())))
    with pytest.raises(ProtocolError):
        server.receive(writer.encode(frames.SynStream(stream_id, ())))
    assert list(FrameReader(Limits()).feed(b"".join(server.outgoing()))) == [frames.GoAway(1, 1)]


def test_data_after_the_end_resets_the_stream() -> None:
    client, server = pair()
    stream = client.open((), fin=True)
    pass_on(client, server)
    assert server.receive(FrameWriter().encode(frames.Data(stream, b"late"))) == [connection.Reset(1, 9)]
    assert not server.streams()


def test_a_ping_of_the_peer_comes_back_and_an_echo_of_ours_does_not() -> None:
    server, writer = Connection(client=False), FrameWriter()
    server.receive(writer.encode(frames.Ping(1)))
    assert b"".join(server.outgoing()) == writer.encode(frames.Ping(1))
    server.receive(writer.encode(frames.Ping(2)))
    assert not server.outgoing()


def test_a_peer_without_windows_is_sent_to_freely_and_one_with_them_by_its_credit() -> None:
    client, server = pair()
    stream = client.open(())
    pass_on(client, server)
    assert server.sendable(stream) == frames.MAX_DATA_BYTES
    writer = FrameWriter()
    settings_frame = frames.Settings(((frames.Setting.INITIAL_WINDOW_SIZE, 1000),))
    assert server.receive(writer.encode(settings_frame)) == [connection.Credited(0)]
    assert server.sendable(stream) == 1000
    server.send(stream, b"x" * 1000)
    assert server.sendable(stream) == 0
    server.receive(writer.encode(frames.WindowUpdate(stream, 500)))
    assert server.sendable(stream) == 500


def test_what_is_consumed_is_credited_for_stream_and_session() -> None:
    client, server = pair()
    stream = client.open(())
    client.send(stream, b"x" * (40 << 10))
    pass_on(client, server)
    server.consumed(stream, 40 << 10)
    assert pass_on(server, client) == [connection.Credited(0), connection.Credited(stream)]


def test_a_window_that_overflows_ends_the_session() -> None:
    server = Connection(client=False)
    with pytest.raises(ProtocolError, match="overflows"):
        server.receive(FrameWriter().encode(frames.WindowUpdate(0, 0x7FFFFFFF)))

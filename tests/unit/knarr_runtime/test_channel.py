"""Messages of every size and descriptors arrive; strangers and nonsense do not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from knarr_runtime import channel


@pytest.mark.parametrize("size", [0, 10, 64 << 10, 70_000, 5 << 20])
def test_message_of_any_size_with_descriptors(size: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    try:
        channel.send(ours, {"text": "x" * size}, (reading, writing))
        received = channel.receive(theirs)
        assert received is not None
        message, descriptors = received
        assert message == {"text": "x" * size}
        os.write(descriptors[1], b"through")
        assert os.read(reading, 10) == b"through"
        for fd in descriptors:
            os.close(fd)
        ours.close()
        assert channel.receive(theirs) is None
    finally:
        os.close(reading)
        os.close(writing)
        ours.close()
        theirs.close()


@pytest.mark.parametrize("raw", [b"=", b"=nonsense", b"=[]", b"@", b"@{}"])
def test_nonsense_is_refused(raw: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(raw)
        with pytest.raises(ValueError):
            channel.receive(theirs)


def test_sockets_in_directories_with_long_names(tmp_path: Path) -> None:
    directory = tmp_path / ("x" * 120)
    directory.mkdir()
    with channel.listen(str(directory), "control.sock") as listener:
        sock, pid = channel.connect(str(directory), "control.sock")
        accepted = channel.accept(listener)
        assert accepted is not None
        with sock, accepted:
            assert pid == os.getpid()
            channel.send(sock, {"op": "hello"})
            assert channel.receive(accepted) == ({"op": "hello"}, [])
    assert (directory / "control.sock").stat().st_mode & 0o777 == 0o600

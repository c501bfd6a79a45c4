"""Messages between daemon, zygote, shims and log reader: JSON over SOCK_SEQPACKET unix sockets, with descriptors.

    request   {"id": 7, "op": "start", …}      daemon → zygote, shim, log reader
    reply     {"id": 7, …} or {"id": 7, "error": {"code", "message"}}
    event     {"event": "exit", …}             whenever it happens

A packet is one message. One too large for a packet travels in a memory file whose descriptor goes with an empty
packet. Behind the JSON and a NUL there may be a body, handed on as it is (``message["body"]``, bytes): what the
middle man need not read. Sockets live in directories only root can enter; both ends also check the other's user
(SO_PEERCRED). Paths longer than a socket address can hold are reached through /proc/self/fd.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

from knarr_runtime import compact_json

Message = dict[str, Any]

_LARGE = 64 << 10
_MOST_DESCRIPTORS = 250
_LARGEST = 32 << 20


def listen(directory: str, name: str) -> socket.socket:
    """A non-blocking listening socket at ``directory/name``, replacing what a dead predecessor left."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        temporary = f".{name}.{os.getpid()}"
        try:
            os.unlink(temporary, dir_fd=fd)
        except FileNotFoundError:
            pass
        sock.bind(f"/proc/self/fd/{fd}/{temporary}")
        os.chmod(temporary, 0o600, dir_fd=fd)
        sock.listen(16)
        os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(fd)
    return sock


def connect(directory: str, name: str) -> tuple[socket.socket, int]:
    """A non-blocking connection to ``directory/name`` and the pid that listens there.

    Raises ConnectionRefusedError, FileNotFoundError if nobody does, PermissionError if it is another user's.
    """
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{fd}/{name}")
        sock.setblocking(False)
        return sock, check_peer(sock)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(fd)


def check_peer(sock: socket.socket) -> int:
    """The peer's pid. Raises PermissionError unless it runs as this user."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, _ = struct.unpack("=iII", credentials)
    if uid != os.geteuid():
        raise PermissionError(f"unix socket peer {pid} runs as user {uid}")
    return int(pid)


def accept(listener: socket.socket) -> socket.socket | None:
    """The next connection, non-blocking; None if its owner is somebody else or it is gone again."""
    try:
        sock, _ = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return None
    sock.setblocking(False)
    try:
        check_peer(sock)
    except PermissionError:
        sock.close()
        return None
    return sock


def send(sock: socket.socket, message: Message, descriptors: Sequence[int] = (), body: bytes = b"") -> None:
    """Sends a message, whole. Raises BlockingIOError if the peer does not read, BrokenPipeError if it is gone."""
    raw = compact_json.encode(message).encode()
    if body:
        raw = b"%b\0%b" % (raw, body)
    if len(descriptors) > _MOST_DESCRIPTORS:
        raise ValueError(f"{len(descriptors)} descriptors do not fit into one message")
    if len(raw) <= _LARGE:
        _send(sock, b"=" + raw, descriptors)
        return
    memory = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        view = memoryview(raw)
        while view:
            view = view[os.write(memory, view) :]
        _send(sock, b"@", (memory, *descriptors))
    finally:
        os.close(memory)


def _send(sock: socket.socket, raw: bytes, descriptors: Sequence[int]) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    sock.sendmsg([raw], ancillary, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors (the caller's to close); None when the peer has closed.

    Raises BlockingIOError if there is none yet, ValueError for what is not a message.
    """
    raw, ancillary, flags, _ = sock.recvmsg(
        _LARGE + 1, socket.CMSG_SPACE(4 * (_MOST_DESCRIPTORS + 1)), socket.MSG_CMSG_CLOEXEC
    )
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors += array.array("i", data[: len(data) - len(data) % 4])
    if not raw:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("message truncated")
        text = raw[1:]
        if raw[:1] == b"@":
            memory = descriptors.pop(0)
            try:
                text = os.pread(memory, _LARGEST, 0)
            finally:
                os.close(memory)
        text, separator, body = text.partition(b"\0")
        message = compact_json.decode(text)
        if not isinstance(message, dict):
            raise ValueError("message is no object")
        if separator:
            message["body"] = body
    except (ValueError, IndexError) as error:
        for fd in descriptors:
            os.close(fd)
        raise ValueError(str(error)) from error
    return message, descriptors

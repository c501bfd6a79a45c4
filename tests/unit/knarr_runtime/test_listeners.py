"""What attached clients are told of a container's output, beside the log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.logs.listeners import PATIENCE_S, Listener, Listeners
from knarr_runtime.loop import Loop


@dataclass
class Client:
    listener: Listener
    stdout: int

    def read(self) -> bytes:
        try:
            return os.read(self.stdout, 1 << 20)
        except BlockingIOError:
            return b"(nothing yet)"


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    loop = Loop()
    made = []
    for _ in range(2):
        read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        made.append(Client(Listener(loop, (write_end, -1), lambda: None), read_end))
    yield made
    for client in made:
        client.listener.drop()
        os.close(client.stdout)


def test_each_is_told_what_came_after_it_once(clients: list[Client]) -> None:
    first, second = clients
    listeners = Listeners()
    listeners.add(first.listener, (3, 0))
    listeners.tell(0, b"oldnew")
    assert first.read() == b"new"
    listeners.add(second.listener, (6, 0))
    listeners.tell(0, b"oldnew\nmore")
    assert (first.read(), second.read()) == (b"\nmore", b"\nmore")
    listeners.taken(0, len(b"oldnew\n"))
    listeners.tell(0, b"more!")
    assert (first.read(), second.read()) == (b"!", b"!")
    listeners.end()
    assert (first.read(), second.read()) == (b"", b"")


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=9).map(lambda data: ("write", data)), st.just(("take", b"")))))
def test_nothing_is_told_twice_or_left_out(steps: list[tuple[str, bytes]]) -> None:
    """FIFO: what was written and not yet taken by the log, which takes any part of it from the front."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    listeners = Listeners()
    listener = Listener(Loop(), (write_end, -1), lambda: None)
    listeners.add(listener, (0, 0))
    fifo, written = b"", b""
    for kind, data in steps:
        if kind == "write":
            fifo += data
            written += data
        else:
            count = len(fifo) // 2
            listeners.tell(0, fifo)
            listeners.taken(0, count)
            fifo = fifo[count:]
    listeners.tell(0, fifo)
    listeners.end()
    received = os.read(read_end, 1 << 16) if written else b""
    os.close(read_end)
    assert received == written


def test_one_that_takes_nothing_is_behind_and_then_dropped(clients: list[Client]) -> None:
    client, _ = clients
    now = 0.0
    while not client.listener.behind(now):
        client.listener.tell(0, bytes(65536))
        now = client.listener.moved_at
    assert client.listener.behind(now + PATIENCE_S - 0.1)
    assert not client.listener.behind(now + PATIENCE_S + 0.1)
    assert client.listener.gone


def test_one_whose_client_has_left_is_forgotten(clients: list[Client]) -> None:
    client, other = clients
    os.close(client.stdout)
    client.stdout = os.open("/dev/null", os.O_RDONLY)
    listeners = Listeners()
    for each in clients:
        listeners.add(each.listener, (0, 0))
    listeners.tell(0, b"x")
    assert client.listener.gone and not other.listener.gone

"""Ports of clusters: free ones, and never the same for two that start at once."""

from __future__ import annotations

import socket
import threading

import pytest

from knarr_cli.cluster import ports
from knarr_cli.cluster.state import ClusterStateError

HIGH = 0xFFF0


def test_a_pair_of_which_one_is_taken_is_passed_over() -> None:
    first, second, third = ports.free(3, 20_000)
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", first))
        one.listen()
        other.bind(("127.0.0.1", second + 1))
        other.listen()
        assert ports.free(1, first) == (third,)
        assert ports.free(2, first, exactly=True) == (first, third), "whose port is asked for hears that it is taken"


def test_it_is_said_when_there_are_none() -> None:
    with pytest.raises(ClusterStateError, match="name one with --port"):
        ports.free(20, HIGH)


def test_who_starts_a_cluster_waits_for_another_that_is_being_started() -> None:
    entered = threading.Event()

    def other() -> None:
        with ports.turn():
            entered.set()

    waiting = threading.Thread(target=other)
    with ports.turn():
        waiting.start()
        assert not entered.wait(0.1)
    assert entered.wait(30)
    waiting.join()

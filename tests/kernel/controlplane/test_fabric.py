"""A cluster's namespaces go, also where two processes remove them at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyroute2.netns
import pytest

from knarr_cli.cluster import fabric

CLUSTER = "knarr-test-both"
COUNT = 12


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    names = [f"{CLUSTER}-{number}" for number in range(COUNT)]
    for name in names:
        pyroute2.netns.create(name)
    yield names
    for name in set(names) & set(pyroute2.netns.listnetns()):
        pyroute2.netns.remove(name)


@pytest.mark.parametrize("attempt", range(5))
def test_two_may_remove_a_cluster_at_once(namespaces: list[str], attempt: int) -> None:
    failures: list[Exception] = []
    begin = threading.Barrier(4)

    def remove() -> None:
        begin.wait(30)
        try:
            fabric.remove(CLUSTER)
        except Exception as error:  # noqa: BLE001 whatever it is, it is the test's to tell
            failures.append(error)

    removing = [threading.Thread(target=remove) for _ in range(4)]
    for thread in removing:
        thread.start()
    for thread in removing:
        thread.join(60)
    assert not failures
    assert not set(namespaces) & set(pyroute2.netns.listnetns())

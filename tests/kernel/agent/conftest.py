"""Network and mount namespaces of the tests' own, gone with their threads."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
MS_REC, MS_PRIVATE = 16384, 1 << 18


class Namespace:
    """A thread in namespaces of its own; ``run`` calls a function there."""

    def __init__(self, flags: int) -> None:
        self._calls: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._wake = threading.Condition()
        self._closed = False
        self._flags = flags
        self.descriptor = -1
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._ready.result(10)

    def run(self, function: Callable[[], Any]) -> Any:
        future: Future[Any] = Future()
        with self._wake:
            self._calls.append((function, future))
            self._wake.notify()
        return future.result(30)

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(10)
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def _work(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if self._flags & CLONE_NEWNS and libc.unshare(0x200):  # CLONE_FS: a thread's own root and directory
            self._ready.set_exception(OSError(ctypes.get_errno(), "unshare"))
            return
        if libc.unshare(self._flags):
            self._ready.set_exception(OSError(ctypes.get_errno(), "unshare"))
            return
        if self._flags & CLONE_NEWNS:
            libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
        if self._flags & CLONE_NEWNET:
            self.descriptor = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        self._ready.set_result(None)
        while True:
            with self._wake:
                while not self._calls and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                function, future = self._calls.pop(0)
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - handed to the test
                future.set_exception(error)


@pytest.fixture
def a_netns() -> Iterator[Callable[[], Namespace]]:
    yield from _made(CLONE_NEWNET)


@pytest.fixture
def a_mountns() -> Iterator[Callable[[], Namespace]]:
    yield from _made(CLONE_NEWNS)


def _made(flags: int) -> Iterator[Callable[[], Namespace]]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace(flags))
        return made[-1]

    yield make
    for namespace in made:
        namespace.close()

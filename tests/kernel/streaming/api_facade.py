"""As much of a Kubernetes API server as an unchanged kubectl needs for exec, attach and port-forward: discovery, one
pod, and the streaming requests passed on to the URL that the runtime answers. Runs on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Query = dict[str, list[str]]
UrlFor = Callable[[str, Query], str]  # verb ("exec" …) and query -> URL

RESOURCES = [
    {"name": "pods", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]},
    *(
        {"name": f"pods/{verb}", "singularName": "", "namespaced": True, "kind": kind, "verbs": ["create", "get"]}
        for verb, kind in (
            ("exec", "PodExecOptions"),
            ("attach", "PodAttachOptions"),
            ("portforward", "PodPortForward"),
        )
    ),
]


def pod(stdin: bool, tty: bool) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "stdin": stdin, "tty": tty}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "web", "namespace": "default", "uid": "uid-web"},
        "spec": {"containers": [container], "nodeName": "here"},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "main", "ready": True, "state": {"running": {}}, "image": "", "imageID": ""}
            ],
        },
    }


class ApiFacade:
    """Context manager; ``address`` is http://127.0.0.1:PORT."""

    def __init__(self, url_for: UrlFor, *, stdin: bool = False, tty: bool = False) -> None:
        self._url_for = url_for
        self._answers: dict[str, Any] = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": RESOURCES},
            "/api/v1/namespaces/default/pods/web": pod(stdin, tty),
            "/version": {"major": "1", "minor": "20", "gitVersion": "v1.20.0"},
        }
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> ApiFacade:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, _, rest = head.partition("\r\n")
        method, target, _ = first.split()
        parts = urlsplit(target)
        verb = parts.path.removeprefix("/api/v1/namespaces/default/pods/web/")
        if verb in ("exec", "attach", "portforward"):
            url = await asyncio.to_thread(self._url_for, verb, parse_qs(parts.query))
            await self._splice(url, method, rest, reader, writer)
            return False
        answer = self._answers.get(parts.path)
        body = json.dumps(
            answer if answer is not None else {"kind": "Status", "status": "Failure", "code": 404}
        ).encode()
        status = "200 OK" if answer is not None else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        return True

    async def _splice(
        self, url: str, method: str, headers: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme == "http+unix":
            upstream = await asyncio.open_unix_connection(str(Path(unquote(parts.netloc))))
        else:
            upstream = await asyncio.open_connection(parts.hostname, parts.port)
        upstream[1].write(f"{method} {parts.path} HTTP/1.1\r\n{headers}".encode())
        try:
            await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))
        finally:
            upstream[1].transport.abort()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 20):
            target.write(data)
            await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()

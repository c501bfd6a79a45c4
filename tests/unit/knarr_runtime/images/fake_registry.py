"""A registry on loopback that can be told to misbehave. Loaded by the tests of the registry client."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

Step = Callable[["Handler"], bool]
"""Answers a request itself and returns True, or leaves it to the usual course."""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeRegistry  # type: ignore[assignment]

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def answer(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(data)), **names}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        url = urlsplit(self.path)
        for part, step in self.server.steps:
            if part in self.path and step(self):
                return None
        if url.path == "/token":
            return self._token(parse_qs(url.query))
        if self.server.authorization and self.headers.get("Authorization") != self.server.authorization:
            return self.answer(401, b"", WWW_Authenticate=self.server.challenge)
        kind, _, name = url.path.rpartition("/")
        if kind.endswith("/manifests") and name in self.server.manifests:
            media_type, data = self.server.manifests[name]
            return self.answer(200, data, Content_Type=media_type)
        if kind.endswith("/blobs") and name in self.server.blobs:
            return self._blob(self.server.blobs[name])
        return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

    do_HEAD = do_GET

    def _blob(self, data: bytes) -> None:
        start = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        if not start:
            return self.answer(200, data)
        whole = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self.answer(206, data[int(start) :], Content_Range=whole)

    def _token(self, query: dict[str, list[str]]) -> None:
        given = self.headers.get("Authorization", "")
        if given != f"Basic {base64.b64encode(b'anna:secret').decode()}":
            return self.answer(401)
        self.server.scopes += query["scope"]
        return self.answer(200, json.dumps({"token": "t0ken", "expires_in": 300}).encode())


class FakeRegistry(ThreadingHTTPServer):
    """manifests: by tag and digest (media type, bytes). blobs: by digest. steps: (part of the path, what to do)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.steps: list[tuple[str, Step]] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.authorization = self.challenge = ""
        self.scopes: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what is tested."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def serve_image(self, *layers: bytes, tag: str = "1", diff_ids: list[str] | None = None) -> tuple[str, bytes]:
        """(digest of the manifest, the manifest); layers as they are on the wire, uncompressed."""
        rootfs = {"type": "layers", "diff_ids": diff_ids or [digest(layer) for layer in layers]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        described = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}
            for layer in layers
        ]
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": digest(config),
                    "size": len(config),
                },
                "layers": described,
            }
        ).encode()
        for data in (config, *layers):
            self.blobs[digest(data)] = data
        self.manifests[tag] = self.manifests[digest(manifest)] = (OCI_MANIFEST, manifest)
        return digest(manifest), manifest

    def on(self, part: str, step: Step) -> None:
        self.steps.append((part, step))

    def requests(self, part: str) -> list[tuple[str, str, dict[str, str]]]:
        return [one for one in self.seen if part in one[1]]

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

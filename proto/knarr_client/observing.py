"""Metrics and health over HTTP, of a control plane or an agent.

``/metrics`` for Prometheus; ``/livez`` and ``/readyz`` with a line for each check; and what pages else there are.

Plain on loopback; anywhere else with TLS that asks for a certificate of the cluster's authority. Served on a thread, so
that it answers also when the event loop is busy, and says so.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from knarr_api.errors import Invalid, KnarrError, Unavailable

T = TypeVar("T")
Check = Callable[[], Awaitable[str]]
"""Answers with a message when all is well; raises a KnarrError else."""

Page = Callable[[], Awaitable[CollectorRegistry]]
"""Metrics that are looked up when they are asked for; raises a KnarrError."""

CHECK_TIMEOUT_S = 5.0
PAGE_TIMEOUT_S = 10.0
SOCKET_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """``HOST:PORT``, port 0 for any. Raises Invalid."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise Invalid(f'--metrics-address "{text}": expected HOST:PORT')
        return cls(host.strip("[]"), int(port))

    @property
    def is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class Observing:
    """Serves until it is stopped. checks: by name. tls: for addresses that are not on loopback. pages: by path."""

    def __init__(
        self,
        address: Address,
        checks: Mapping[str, Check],
        tls: ssl.SSLContext | None,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        """Raises Unavailable if the address can't be listened on, Invalid without TLS where it must be."""
        if tls is None and not address.is_loopback:
            raise Invalid(f"metrics on {address.host} need TLS")
        self._checks = checks
        self._pages = pages or {}
        self._loop = asyncio.get_running_loop()
        self._metrics = make_wsgi_app()
        try:
            self._server = make_server(address.host, address.port, self._answer, _Server, _Quiet)
        except OSError as error:
            raise Unavailable(f"--metrics-address {address.host}:{address.port}: {error.strerror}") from error
        if tls is not None and not address.is_loopback:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _text(start_response, "405 Method Not Allowed", "only GET\n")
        if path == "/metrics":
            return self._exposition(self._metrics, environ, start_response)
        if path in self._pages:
            return self._page(self._pages[path], environ, start_response)
        if path in ("/livez", "/healthz", "/readyz"):
            return self._health(path[1:], environ.get("QUERY_STRING", ""), start_response)
        return _text(
            start_response, "404 Not Found", f"there are {', '.join(('/metrics', *self._pages))}, /livez and /readyz\n"
        )

    def _page(self, page: Page, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            registry = self._ask(page, PAGE_TIMEOUT_S)
        except KnarrError as error:
            return _text(start_response, "503 Service Unavailable", f"{error.message}\n")
        return self._exposition(make_wsgi_app(registry), environ, start_response)

    def _exposition(self, app: Any, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    def _health(self, name: str, query: str, start_response: Any) -> Iterable[bytes]:
        """livez: the event loop answers. readyz, healthz: every check passes."""
        checks = {} if name == "livez" else self._checks
        lines = [self._loop_line()]
        lines += [self._line(check, function) for check, function in checks.items()]
        failed = [line for line in lines if line.startswith("[-]")]
        verdict = f"{name} check {'failed' if failed else 'passed'}\n"
        if failed:
            return _text(start_response, "500 Internal Server Error", "\n".join(lines) + f"\n{verdict}")
        return _text(start_response, "200 OK", "\n".join(lines) + f"\n{verdict}" if "verbose" in query else "ok")

    def _loop_line(self) -> str:
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:
            return "[-]ping failed: stopped"
        return "[+]ping ok" if turned.wait(CHECK_TIMEOUT_S) else "[-]ping failed: the event loop does not answer"

    def _line(self, name: str, check: Check) -> str:
        try:
            self._ask(check, CHECK_TIMEOUT_S)
        except KnarrError as error:
            return f"[-]{name} failed: {error.message}"
        return f"[+]{name} ok"

    def _ask(self, question: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """The answer, from the event loop. Raises what it raises, Unavailable if none comes in time."""

        async def ask() -> T:
            return await question()

        future = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise Unavailable(f"no answer within {timeout_s:.0f} s") from None


def only_holders(certificate: Path, key: Path, ca_pem: bytes) -> ssl.SSLContext:
    """TLS that answers only who shows a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cadata=ca_pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _text(start_response: Any, status: str, text: str) -> Iterable[bytes]:
    body = text.encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 16


class _Quiet(WSGIRequestHandler):
    timeout = SOCKET_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are no news."""

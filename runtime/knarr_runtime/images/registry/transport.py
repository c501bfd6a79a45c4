"""Requests to one registry: TLS, authentication, redirects, retries. Blocking; for several threads.

request → 401 with a challenge → token or basic → request again
        → 307 elsewhere        → followed without credentials
        → connection lost, 5xx, 429 → again after a while, a few times
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from knarr_runtime.errors import Cancelled, Denied, Invalid, NotFound, RuntimeFailure, Unavailable
from knarr_runtime.images.registry.credentials import Credentials
from knarr_runtime.images.registry.settings import RegistrySettings

MAX_REDIRECTS = 5
MAX_ANSWER_BYTES = 1 << 20
MAX_WAIT_S = 60.0
TOKEN_MARGIN_S = 10.0
DEFAULT_TOKEN_S = 60.0
REDIRECTS = (301, 302, 303, 307, 308)
AGAIN = (408, 429, 500, 502, 503, 504)
CHALLENGE = re.compile(r'([a-zA-Z_]+)="([^"]*)"')

Opener = Callable[[], contextlib.AbstractContextManager[IO[bytes]]]


class Cancellation:
    """Set from another thread: requests under way are cut, no new ones begin."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._answers: set[urllib3.BaseHTTPResponse] = set()

    def cancel(self) -> None:
        self._set.set()
        with self._lock:
            answers = list(self._answers)
        for answer in answers:
            with contextlib.suppress(Exception):
                answer.shutdown()

    def check(self) -> None:
        """Raises Cancelled."""
        if self._set.is_set():
            raise Cancelled("cancelled")

    def sleep(self, seconds: float) -> None:
        if self._set.wait(seconds):
            self.check()

    @contextlib.contextmanager
    def cutting(self, answer: urllib3.BaseHTTPResponse) -> Iterator[None]:
        """While it is read. Raises Cancelled for one that came when nobody was to cut it any more."""
        with self._lock:
            self._answers.add(answer)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._answers.discard(answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """url: ``https://HOST[:PORT]``, with a path where a mirror has one. own: false for a mirror."""

    url: str
    registry: str
    own: bool = True


def endpoints(registry: str, settings: RegistrySettings) -> tuple[Endpoint, ...]:
    """Mirrors first. Raises Invalid for a mirror without TLS that is not allowed to."""
    host = "registry-1.docker.io" if registry == "docker.io" else registry
    found = []
    for url in settings.mirrors.get(registry, ()):
        parts = urlsplit(url if "://" in url else f"https://{url}")
        if parts.scheme == "http" and not may_be_plain(parts.netloc, settings):
            raise Invalid(f"mirror {url} of {registry} has no TLS: allow it with --insecure-registry {parts.netloc}")
        found.append(Endpoint(url=parts.geturl().rstrip("/"), registry=registry, own=False))
    plain = may_be_plain(host, settings) and not _certificate(host, settings)
    return (*found, Endpoint(url=f"{'http' if plain else 'https'}://{host}", registry=registry))


def may_be_plain(host: str, settings: RegistrySettings) -> bool:
    """Loopback, or allowed by name."""
    if host in settings.insecure:
        return True
    name = urlsplit(f"//{host}").hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost"


def _certificate(host: str, settings: RegistrySettings) -> Path | None:
    for directory in settings.certificates:
        path = directory / host / "ca.crt"
        if path.is_file():
            return path
    return None


class Transport:
    """Requests to one endpoint for one repository."""

    def __init__(
        self,
        endpoint: Endpoint,
        repository: str,
        credentials: Credentials,
        settings: RegistrySettings,
        cancellation: Cancellation,
        *,
        actions: str = "pull",
    ) -> None:
        self.endpoint = endpoint
        self.cancellation = cancellation
        self._base = f"{endpoint.url}/v2/{repository}"
        self._repository = repository
        self._credentials = credentials if endpoint.own else Credentials()
        self._settings = settings
        self._actions = actions
        self._authorization = ""
        self._expires_s = 0.0
        self._lock = threading.Lock()
        context = ssl.create_default_context()
        certificate = _certificate(urlsplit(endpoint.url).netloc, settings)
        if certificate is not None:
            context.load_verify_locations(certificate)
        self._pool = urllib3.PoolManager(
            retries=False,
            ssl_context=context,
            maxsize=settings.parallel,
            timeout=urllib3.Timeout(connect=settings.connect_s, read=settings.stall_s),
            headers={"User-Agent": "knarr-runtime"},
        )

    def close(self) -> None:
        self._pool.clear()

    @contextlib.contextmanager
    def answer(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | Opener = b"",
        size: int = 0,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """One answer with status under 400, its content still to be read. path: below the repository, or a URL.

        body: bytes, or a function that opens ``size`` bytes from their beginning (a request may be sent twice).
        Raises NotFound, Denied, Unavailable, Invalid.
        """
        url = path if "://" in path else f"{self._base}/{path}"
        for attempt in range(self._settings.attempts):
            self.cancellation.check()
            last = attempt == self._settings.attempts - 1
            try:
                found = self._authorized(method, url, dict(headers or {}), body, size)
            except HTTPError as error:
                self.cancellation.check()
                if last or _hopeless(error):
                    raise Unavailable(f"{self._where()}: {_why(error)}") from None
                self._wait(attempt, None)
                continue
            if found.status in AGAIN and not last:
                delay = found.headers.get("Retry-After")
                found.drain_conn()
                self._wait(attempt, delay)
                continue
            try:
                if found.status >= 400:
                    raise self._refused(found)
                with self.cancellation.cutting(found):
                    yield found
            finally:
                found.close()
            return

    def wait(self, attempt: int) -> None:
        """Before something is tried again that went wrong after the answer had begun."""
        self._wait(attempt, None)

    def _wait(self, attempt: int, retry_after: str | None) -> None:
        delay = self._settings.retry_s * 2**attempt * (0.5 + random.random())
        if retry_after is not None and retry_after.isdecimal():
            delay = max(delay, min(float(retry_after), MAX_WAIT_S))
        self.cancellation.sleep(delay)

    def _authorized(
        self, method: str, url: str, headers: dict[str, str], body: bytes | Opener, size: int
    ) -> urllib3.BaseHTTPResponse:
        own = self._is_own(url)
        if own and self._token():
            headers["Authorization"] = self._token()
        found = self._send(method, url, headers, body, size)
        if found.status == 401 and own:
            challenge = found.headers.get("WWW-Authenticate", "")
            found.drain_conn()
            if self._authenticate(challenge, headers.get("Authorization", "")):
                headers["Authorization"] = self._token()
                found = self._send(method, url, headers, body, size)
        return found

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | Opener, size: int
    ) -> urllib3.BaseHTTPResponse:
        for _ in range(MAX_REDIRECTS):
            with contextlib.ExitStack() as stack:
                content: bytes | IO[bytes] | None = body or None if isinstance(body, bytes) else None
                if not isinstance(body, bytes):
                    content = stack.enter_context(body())
                    headers["Content-Length"] = str(size)
                elif method in ("POST", "PUT") and not body:
                    headers["Content-Length"] = "0"
                found = self._pool.request(
                    method, url, body=content, headers=headers, redirect=False, preload_content=False
                )
            if found.status not in REDIRECTS or method not in ("GET", "HEAD"):
                return found
            target = urljoin(url, found.headers.get("Location", ""))
            found.drain_conn()
            url = self._allowed(url, target)
            if not self._is_own(url):
                headers.pop("Authorization", None)
        raise Invalid(f"{self._where()} redirects more than {MAX_REDIRECTS} times")

    def _allowed(self, before: str, target: str) -> str:
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"{self._where()} redirects to {target[:200]!r}, which is no URL")
        if parts.scheme == "http" and (before.startswith("https:") or not may_be_plain(parts.netloc, self._settings)):
            raise Invalid(f"{self._where()} redirects to {parts.netloc} without TLS")
        return target

    def _is_own(self, url: str) -> bool:
        ours, theirs = urlsplit(self.endpoint.url), urlsplit(url)
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)

    # Authentication

    def _token(self) -> str:
        with self._lock:
            return self._authorization if time.monotonic() < self._expires_s else ""

    def _authenticate(self, challenge: str, sent: str) -> bool:
        """Whether there is something to try that was not sent yet. Raises Denied, Unavailable, Invalid."""
        with self._lock:
            current = self._authorization if time.monotonic() < self._expires_s else ""
            if current and current != sent:
                return True  # another thread was quicker
            kind, _, parameters = challenge.partition(" ")
            if kind.lower() == "basic":
                self._authorization, lifetime_s = self._basic(), float("inf")
            elif kind.lower() == "bearer":
                self._authorization, lifetime_s = self._bearer(dict(CHALLENGE.findall(parameters)))
            else:
                return False
            self._expires_s = time.monotonic() + lifetime_s
            return bool(self._authorization) and self._authorization != sent

    def _basic(self) -> str:
        found = self._credentials
        if not found.username:
            return ""
        return str(urllib3.make_headers(basic_auth=f"{found.username}:{found.password}")["authorization"])

    def _bearer(self, challenge: Mapping[str, str]) -> tuple[str, float]:
        found = self._credentials
        if found.registry_token:
            return f"Bearer {found.registry_token}", float("inf")
        realm = self._allowed(self.endpoint.url, challenge.get("realm", ""))
        scope = f"repository:{self._repository}:{self._actions}"
        fields = {"service": challenge.get("service", ""), "scope": scope}
        if found.identity_token:
            form = {
                **fields,
                "grant_type": "refresh_token",
                "refresh_token": found.identity_token,
                "client_id": "knarr",
            }
            answer = self._pool.request("POST", realm, fields=form, encode_multipart=False, redirect=False)
        else:
            headers = {"Authorization": self._basic()} if found.username else {}
            query = urlencode({**fields, **({"account": found.username} if found.username else {})})
            url = f"{realm}{'&' if '?' in realm else '?'}{query}"
            answer = self._pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
        data = answer.read(MAX_ANSWER_BYTES)
        answer.close()
        if answer.status in (401, 403):
            raise Denied(f"{self._where()}: wrong user name or password, or no access to {self._repository}")
        if answer.status != 200:
            raise Unavailable(f"{urlsplit(realm).netloc} gives no token: HTTP {answer.status}")
        try:
            document = json.loads(data)
            token = str(document.get("token") or document["access_token"])
            lifetime_s = float(document.get("expires_in") or DEFAULT_TOKEN_S)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Invalid(f"{urlsplit(realm).netloc} gives an answer that is no token") from None
        return f"Bearer {token}", max(lifetime_s - TOKEN_MARGIN_S, 1.0)

    # Errors

    def _where(self) -> str:
        return urlsplit(self.endpoint.url).netloc

    def _refused(self, answer: urllib3.BaseHTTPResponse) -> RuntimeFailure:
        said = _said(answer)
        if answer.status in (401, 403):
            return Denied(f"{self._where()}: {self._repository} does not exist or needs other credentials{said}")
        if answer.status == 404:
            return NotFound(f"{self._where()}: not found{said}")
        if answer.status == 429:
            return Unavailable(f"{self._where()}: too many requests; try again later{said}")
        if answer.status >= 500:
            return Unavailable(f"{self._where()}: HTTP {answer.status}{said}")
        return Invalid(f"{self._where()}: HTTP {answer.status}{said}")


def _said(answer: urllib3.BaseHTTPResponse) -> str:
    """The registry's own words, shortened and cleaned."""
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError, HTTPError, RecursionError):
        first = json.loads(answer.read(MAX_ANSWER_BYTES))["errors"][0]
        text = str(first.get("message") or first.get("code") or "")[:200]
        printable = "".join(character for character in text if character.isprintable())
        return f" ({printable})" if printable else ""
    return ""


def _hopeless(error: HTTPError) -> bool:
    """Trying again would not help."""
    reason = getattr(error, "reason", error)
    return isinstance(error, urllib3.exceptions.SSLError) or isinstance(reason, ssl.SSLCertVerificationError)


def _why(error: HTTPError) -> str:
    """Without the addresses of objects that urllib3's messages have."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return "the name is not known"
        case urllib3.exceptions.ReadTimeoutError():
            return "it stopped answering"
        case urllib3.exceptions.SSLError():
            return f"TLS: {str(error)[:200]}"
        case urllib3.exceptions.NewConnectionError():
            return str(error).rpartition("] ")[2].lower() or "no connection"
        case urllib3.exceptions.ConnectTimeoutError():
            return "no answer in time"
        case urllib3.exceptions.ProtocolError():
            return "the connection was lost"
    return type(error).__name__

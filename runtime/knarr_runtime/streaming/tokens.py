"""What a client may do once, and soon: requests that CRI has validated, behind a token that nobody can guess."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from knarr_runtime.errors import Exhausted
from knarr_runtime.spec import User

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """env is added to the container's; cwd "" and user None are the container's."""

    container_id: str
    command: tuple[str, ...]
    tty: bool
    stdin: bool
    stdout: bool
    stderr: bool
    env: tuple[str, ...] = ()
    cwd: str = ""
    user: User | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachRequest:
    container_id: str
    tty: bool
    stdin: bool
    stdout: bool
    stderr: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PortForwardRequest:
    """ports: those announced; clients of SPDY may name others, as the kubelet allows."""

    sandbox_id: str
    ports: tuple[int, ...]


Request = ExecRequest | AttachRequest | PortForwardRequest


class Tokens:
    """clock: seconds, monotonic. lifetime_s: a token not used by then is worth nothing. limit: at once."""

    def __init__(self, clock: Callable[[], float], *, lifetime_s: float = 60.0, limit: int = 1000) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._limit = limit
        self._waiting: dict[str, tuple[float, Request]] = {}  # oldest first

    def issue(self, request: Request) -> str:
        """Raises Exhausted."""
        self._sweep()
        if len(self._waiting) >= self._limit:
            raise Exhausted(
                f"{self._limit} streaming requests wait for their client; try again within {self._lifetime_s:g} s"
            )
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._waiting[token] = (self._clock() + self._lifetime_s, request)
        return token

    def take(self, token: str) -> Request | None:
        """The request, to the first who asks in time."""
        self._sweep()
        _, request = self._waiting.pop(token, (0.0, None))
        return request

    def _sweep(self) -> None:
        now = self._clock()
        while self._waiting:
            token, (end, _) = next(iter(self._waiting.items()))
            if end > now:
                return
            del self._waiting[token]

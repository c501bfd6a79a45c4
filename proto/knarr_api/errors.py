"""What can go wrong, named for what the caller should do.

Adapters translate foreign exceptions into these where they enter. :mod:`knarr_api.grpc_status` maps them to gRPC and
back. Messages are lower case without a full stop and name the value and field concerned, in Kubernetes' words where
it has some.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an object.

    path: as in ``spec.containers[0].image``. kind: Kubernetes' word ("Required value", "Invalid value", "Forbidden",
    "Unsupported value", "Duplicate value", "Not found", "Too long"), or empty.
    """

    path: str
    message: str
    kind: str = ""
    bad_value: Any = None

    def __str__(self) -> str:
        parts = [self.path] if self.path else []
        if self.kind:
            parts.append(self.kind)
        if self.bad_value is not None and self.kind not in ("Required value", "Forbidden"):
            parts.append(f'"{self.bad_value}"' if isinstance(self.bad_value, str) else str(self.bad_value))
        if self.message:
            parts.append(self.message)
        return ": ".join(parts)


class KnarrError(Exception):
    """Base of all. details: what is wrong where. retry_after_s: when trying again makes sense, if ever."""

    reason: ClassVar[str] = "InternalError"
    """Kubernetes' reason word, as in ``Error from server (NotFound)``."""

    def __init__(self, message: str, *, details: Iterable[FieldError] = (), retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.retry_after_s = retry_after_s


class NotFound(KnarrError):
    """There is no such thing; creating it may help."""

    reason = "NotFound"


class AlreadyExists(KnarrError):
    """The name is taken."""

    reason = "AlreadyExists"


class Conflict(KnarrError):
    """It has changed since it was read: read again and decide again."""

    reason = "Conflict"


class Invalid(KnarrError):
    """The request is wrong and stays so."""

    reason = "Invalid"


class Forbidden(KnarrError):
    """The caller may not do this."""

    reason = "Forbidden"


class Unauthenticated(KnarrError):
    """Who the caller is has not been shown."""

    reason = "Unauthorized"


class Unavailable(KnarrError):
    """Try again later. A write may or may not have happened where the message says so."""

    reason = "ServiceUnavailable"


NOT_BEGUN = "the control plane stops, and has not begun this call: ask again"
"""An Unavailable that says so may be repeated, also when it would write."""


class Expired(KnarrError):
    """The revision asked for has been compacted: list again."""

    reason = "Expired"


class ResourceExhausted(KnarrError):
    """A limit is reached: too many requests, too large, store full."""

    reason = "TooManyRequests"


class DeadlineExceeded(KnarrError):
    """It took longer than the caller allowed. A write may or may not have happened."""

    reason = "Timeout"


class Unimplemented(KnarrError):
    """Not there (yet)."""

    reason = "NotImplemented"


class Internal(KnarrError):
    """A mistake of ours."""

    reason = "InternalError"


class Terminal(KnarrError):
    """Doing the same again can't help: reconcilers don't retry."""

    reason = "Terminal"


def not_found(resource: str, name: str, group: str = "") -> NotFound:
    """``pods "web" not found``."""
    return NotFound(f'{_qualified(resource, group)} "{name}" not found')


def already_exists(resource: str, name: str, group: str = "") -> AlreadyExists:
    """``pods "web" already exists``."""
    return AlreadyExists(f'{_qualified(resource, group)} "{name}" already exists')


def conflict(resource: str, name: str, group: str = "") -> Conflict:
    """Kubernetes' sentence about an object that was modified."""
    return Conflict(
        f'Operation cannot be fulfilled on {_qualified(resource, group)} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def invalid(kind: str, name: str, details: Iterable[FieldError], group: str = "") -> Invalid:
    """``Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be …``; several in brackets."""
    listed = tuple(details)
    texts = [str(detail) for detail in listed]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return Invalid(f'{_qualified(kind, group)} "{name}" is invalid: {text}', details=listed)


def _qualified(word: str, group: str) -> str:
    return f"{word}.{group}" if group else word

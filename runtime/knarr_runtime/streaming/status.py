"""How a remote command ended, as clients read it: a Kubernetes ``v1.Status``, or a sentence in protocols before v4.

The words are those the kubelet's streaming server uses; clients take the exit code out of ``details.causes``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCode:
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It could not be run, or what became of it is not known."""

    message: str


Outcome = Success | ExitCode | Failed


def of_exit(code: int) -> Outcome:
    return Success() if code == 0 else ExitCode(code=code)


def sentence(outcome: Outcome) -> str:
    """For protocols without Status; "" is success."""
    match outcome:
        case Success():
            return ""
        case ExitCode(code=code):
            return f"command terminated with non-zero exit code: exit status {code}"
        case Failed(message=message):
            return f"Internal error occurred: error executing command in container: {message}"


def document(outcome: Outcome) -> bytes:
    """The Status as JSON."""
    match outcome:
        case Success():
            value: dict[str, object] = {"metadata": {}, "status": "Success"}
        case ExitCode(code=code):
            value = {
                "metadata": {},
                "status": "Failure",
                "message": sentence(outcome),
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
            }
        case Failed():
            cause = sentence(outcome).removeprefix("Internal error occurred: ")
            value = {
                "metadata": {},
                "status": "Failure",
                "message": sentence(outcome),
                "reason": "InternalError",
                "details": {"causes": [{"message": cause}]},
                "code": 500,
            }
    return json.dumps(value, separators=(",", ":")).encode()

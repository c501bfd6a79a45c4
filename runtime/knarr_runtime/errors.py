"""What the runtime can answer, named for what its caller should do; the CRI server maps them to gRPC codes once."""

from __future__ import annotations


class RuntimeFailure(Exception):
    """Base of all errors that the runtime raises on purpose."""

    code = "internal"


class Invalid(RuntimeFailure, ValueError):
    """The request can never succeed as it is."""

    code = "invalid"


class NotFound(RuntimeFailure):
    """No such sandbox or container."""

    code = "not_found"


class AlreadyExists(RuntimeFailure):
    """The identifier is taken."""

    code = "already_exists"


class WrongState(RuntimeFailure):
    """It exists but is not in the state the request needs (exec in an exited container …)."""

    code = "wrong_state"


class Unavailable(RuntimeFailure):
    """The process that would do it is not there (being restarted, or the sandbox died); trying again may help."""

    code = "unavailable"


class Exhausted(RuntimeFailure):
    """A limit of the runtime is reached; it will be free again when others have finished."""

    code = "exhausted"


class Denied(RuntimeFailure):
    """Somebody asked to prove who we are, or what we may."""

    code = "denied"


class Cancelled(RuntimeFailure):
    """The caller has given up."""

    code = "cancelled"


class Unsupported(RuntimeFailure):
    """The process that would do it is of an earlier version and does not know how; a new sandbox does."""

    code = "unsupported"


class StartFailed(RuntimeFailure):
    """The program could not be started; ``exit_code`` as a shell would give it: 127 not found, 126 not executable,
    128 when preparing the container failed."""

    code = "start_failed"

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class KernelRefused(RuntimeFailure):
    """A system call failed where it should not; the message names call, object and reason."""

    code = "kernel"


_BY_CODE: dict[str, type[RuntimeFailure]] = {
    cls.code: cls
    for cls in (
        RuntimeFailure,
        Invalid,
        NotFound,
        AlreadyExists,
        WrongState,
        Unavailable,
        Exhausted,
        Denied,
        Cancelled,
        Unsupported,
        StartFailed,
        KernelRefused,
    )
}


def to_json(error: RuntimeFailure) -> dict[str, object]:
    """The error as a reply of zygote or shim carries it."""
    value: dict[str, object] = {"code": error.code, "message": str(error)}
    if isinstance(error, StartFailed):
        value["exit_code"] = error.exit_code
    return value


def from_json(value: dict[str, object]) -> RuntimeFailure:
    message = str(value.get("message", ""))
    if value.get("code") == StartFailed.code:
        code = value.get("exit_code", 128)
        return StartFailed(message, code if isinstance(code, int) else 128)
    return _BY_CODE.get(str(value.get("code")), RuntimeFailure)(message)

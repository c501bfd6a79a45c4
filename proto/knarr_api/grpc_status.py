"""Errors to gRPC status and back, with ``google.rpc`` details: the one place that knows both."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from knarr_api import errors

DOMAIN = "knarr"
CODES: dict[type[errors.KnarrError], grpc.StatusCode] = {
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Expired: grpc.StatusCode.OUT_OF_RANGE,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.Terminal: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Internal: grpc.StatusCode.INTERNAL,
}
CLASSES = {code: class_ for class_, code in CODES.items()}
MAX_VIOLATIONS = 100
MAX_MESSAGE_BYTES = 1500
MAX_STATUS_BYTES = 4000
"""gRPC refuses headers beyond 8 to 16 KiB together, after percent and base64 encoding: the caller would see nothing."""
STATUS_KEY = "grpc-status-details-bin"


def code_of(error: errors.KnarrError) -> grpc.StatusCode:
    """The gRPC code of an error."""
    return next((CODES[class_] for class_ in type(error).__mro__ if class_ in CODES), grpc.StatusCode.INTERNAL)


def to_status(error: errors.KnarrError) -> status_pb2.Status:
    """A ``google.rpc.Status`` with ErrorInfo, BadRequest and RetryInfo where there is something to say."""
    return _status(error, error.message, error.details[:MAX_VIOLATIONS])


def short_message(error: errors.KnarrError) -> str:
    """The message, cut to what fits into a header: what calls are aborted with."""
    size = 0
    for index, character in enumerate(error.message):
        size += 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode(errors="replace"))
        if size > MAX_MESSAGE_BYTES:
            return f"{error.message[:index]} …"
    return error.message


def trailing_metadata(error: errors.KnarrError) -> tuple[tuple[str, bytes], ...]:
    """What ``context.abort`` is given besides code and ``short_message``: as many field errors as fit."""
    message, details = short_message(error), error.details[:MAX_VIOLATIONS]
    status = _status(error, message, details)
    while details and status.ByteSize() > MAX_STATUS_BYTES:
        details = details[: len(details) * 3 // 4]
        status = _status(error, message, details)
    return ((STATUS_KEY, status.SerializeToString()),)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: errors.KnarrError) -> NoReturn:
    """End a call with the error. Never returns."""
    await context.abort(code_of(error), short_message(error), trailing_metadata(error))
    raise AssertionError("abort returned")


def _status(error: errors.KnarrError, message: str, details: tuple[errors.FieldError, ...]) -> status_pb2.Status:
    packed = [_pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))]
    if details:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=detail.path, description=str(errors.FieldError("", detail.message, detail.kind, detail.bad_value))
            )
            for detail in details
        ]
        packed.append(_pack(error_details_pb2.BadRequest(field_violations=violations)))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after_s * 1000))
        packed.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    number: int = code_of(error).value[0]
    return status_pb2.Status(code=number, message=message, details=packed)


def from_rpc(error: grpc.RpcError) -> errors.KnarrError:
    """The error that a call's failure stands for, with its field errors."""
    code: grpc.StatusCode = error.code()
    message: str = error.details() or code.name.lower()
    metadata: Any = error.trailing_metadata() or ()
    raw = next((value for key, value in metadata if key == STATUS_KEY), None)
    return _build(code, message, status_pb2.Status.FromString(raw) if isinstance(raw, bytes) else None)


def to_rpc(status: status_pb2.Status) -> grpc.aio.AioRpcError:
    """The failure of a call that would have ended with this status."""
    metadata = grpc.aio.Metadata((STATUS_KEY, status.SerializeToString()))
    return grpc.aio.AioRpcError(_code(status), grpc.aio.Metadata(), metadata, status.message, status.message)


def from_status(status: status_pb2.Status) -> errors.KnarrError:
    """The error that a ``google.rpc.Status`` stands for."""
    return _build(_code(status), status.message, status)


def from_code(number: int, message: str) -> errors.KnarrError:
    """The error of a bare ``google.rpc.Code``."""
    return from_status(status_pb2.Status(code=number, message=message))


def _code(status: status_pb2.Status) -> grpc.StatusCode:
    name = code_pb2.Code.Name(code_pb2.Code.ValueType(status.code))
    code: grpc.StatusCode = getattr(grpc.StatusCode, name, grpc.StatusCode.UNKNOWN)
    return code


def _build(code: grpc.StatusCode, message: str, status: status_pb2.Status | None) -> errors.KnarrError:
    details: list[errors.FieldError] = []
    retry_after_s: float | None = None
    for packed in status.details if status is not None else ():
        bad_request, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if packed.Unpack(bad_request):
            details += [errors.FieldError(v.field, v.description) for v in bad_request.field_violations]
        elif packed.Unpack(retry):
            retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    class_ = CLASSES.get(code, errors.Internal)
    if code is grpc.StatusCode.CANCELLED:
        class_ = errors.Unavailable
    return class_(message, details=details, retry_after_s=retry_after_s)


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed

"""Errors keep their class, text and field errors over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from knarr_api import errors, grpc_status
from knarr_api.errors import FieldError, KnarrError

CLASSES = KnarrError.__subclasses__()


@pytest.mark.parametrize("class_", CLASSES)
def test_status_gives_the_same_error_back(class_: type[KnarrError]) -> None:
    details = (FieldError("spec.replicas", "must be greater than or equal to 0", "Invalid value", -1),)
    again = grpc_status.from_status(grpc_status.to_status(class_("no", details=details, retry_after_s=1.5)))
    assert type(again) is class_
    assert (again.message, again.retry_after_s) == ("no", 1.5)
    assert [str(d) for d in again.details] == ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]


def test_every_class_has_a_code_of_its_own() -> None:
    assert len({grpc_status.code_of(class_("")) for class_ in CLASSES}) == len(CLASSES) == len(grpc_status.CODES)


def test_many_field_errors_stay_below_the_size_of_headers() -> None:
    details = [FieldError(f"spec.field{n}", "x" * 300) for n in range(1000)]
    error = errors.Invalid("y" * 10_000, details=details)
    ((_, data),) = grpc_status.trailing_metadata(error)
    assert len(data) <= grpc_status.MAX_STATUS_BYTES
    assert len(grpc_status.short_message(error)) < 1600


class _Server(grpc.GenericRpcHandler):
    def __init__(self, error: KnarrError) -> None:
        self.error = error

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def fail(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            await grpc_status.abort(context, self.error)

        return grpc.unary_unary_rpc_method_handler(fail)


@pytest.fixture
async def failing(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Server(request.param),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


BAD = errors.invalid(
    "Deployment",
    "web",
    [
        FieldError("spec.replicas", "must be greater than or equal to 0", "Invalid value", -1),
        FieldError("spec.x", "no"),
    ],
    "apps",
)
LONG = errors.Invalid("z" * 100 + "æ" * 20_000, details=[FieldError(f"a{n}", "ø" * 400) for n in range(200)])


@pytest.mark.parametrize("failing", [BAD, errors.not_found("pods", "web"), LONG], indirect=True)
async def test_errors_survive_a_real_call(failing: str, request: pytest.FixtureRequest) -> None:
    sent: KnarrError = request.node.callspec.params["failing"]
    async with grpc.aio.insecure_channel(failing) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            await channel.unary_unary("/x.Y/Z")(b"")
    again = grpc_status.from_rpc(caught.value)
    assert type(again) is type(sent)
    assert again.message[:100] == sent.message[:100]
    assert [d.path for d in again.details] == [d.path for d in sent.details][: len(again.details)]
    assert bool(again.details) == bool(sent.details)


def test_texts_are_those_of_kubernetes() -> None:
    assert errors.not_found("pods", "web").message == 'pods "web" not found'
    assert errors.already_exists("deployments", "web", "apps").message == 'deployments.apps "web" already exists'
    assert str(BAD) == (
        'Deployment.apps "web" is invalid: '
        "[spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.x: no]"
    )
    assert str(FieldError("a", "", "Required value", "x")) == "a: Required value"
    assert str(FieldError("a", "b", "Invalid value", "x")) == 'a: Invalid value: "x": b'


def test_a_cancelled_call_may_be_tried_again() -> None:
    assert isinstance(grpc_status.from_code(1, "cancelled"), errors.Unavailable)
    assert isinstance(grpc_status.from_code(2, "unknown"), errors.Internal)

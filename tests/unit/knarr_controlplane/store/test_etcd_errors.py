"""What etcd answers when it does not do what it was asked for."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from knarr_api.errors import Internal, KnarrError, ResourceExhausted, Unavailable
from knarr_controlplane.store.etcd import EtcdStore


@pytest.mark.parametrize(
    ("code", "text", "error", "message"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests", Unavailable, "has too much to do"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "mvcc: database space exceeded", ResourceExhausted, "nothing was written"),
        (grpc.StatusCode.UNAVAILABLE, "etcdserver: leader changed", Unavailable, "may have happened"),
        (grpc.StatusCode.INTERNAL, "received RST_STREAM", Internal, "may have happened"),
    ],
)
async def test_a_write_that_fails_says_whether_to_try_again_and_whether_it_may_have_happened(
    code: grpc.StatusCode, text: str, error: type[KnarrError], message: str
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise AioRpcError(code, Metadata(), Metadata(), details=text)

    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        store = EtcdStore(channel, ["127.0.0.1:1"])
        with pytest.raises(error, match=message):
            await store.call(refuse, None, writes=True)

"""Callers with a ServiceAccount's token: let in on the port for joining, as that account, which may do nothing yet."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from knarr_api import errors, grpc_status, json
from knarr_api.types.authentication_v1 import (
    BoundObjectReference,
    SelfSubjectReview,
    TokenRequest,
    TokenRequestSpec,
    TokenReview,
    TokenReviewSpec,
)
from knarr_api.types.core_v1 import ConfigMap, Pod, ServiceAccount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access
from knarr_proto.v1 import accounts_pb2, accounts_pb2_grpc, cluster_pb2, cluster_pb2_grpc

DEADLINE_S = 30


async def ask_token(client, name="default", **spec):
    request = accounts_pb2.AccountTokenRequest(
        namespace="default", name=name, request_json=json.encode(TokenRequest(spec=TokenRequestSpec(**spec)))
    )
    try:
        stub = accounts_pb2_grpc.AccountsStub(client.channel)
        answer = await stub.CreateToken(request, timeout=DEADLINE_S)
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error
    return json.decode(answer.request_json, TokenRequest).status.token


async def who_am_i(client):
    try:
        answer = await accounts_pb2_grpc.AccountsStub(client.channel).WhoAmI(accounts_pb2.Review(), timeout=DEADLINE_S)
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error
    return json.decode(answer.json, SelfSubjectReview).status.user_info


@pytest.fixture
def with_token(control_plane):
    access = control_plane.access

    def connect(token):
        server = f"127.0.0.1:{control_plane.port + 1}"
        return GrpcClient.connect(Access(endpoints=(server,), ca_pem=access.ca_pem, token=token))

    return connect


@pytest.fixture
async def pod(client):
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "caller", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "web:1"}], "schedulerName": "nobody"},
    }
    made = (await client.raw.create(document)).object
    yield made
    with contextlib.suppress(errors.NotFound):
        await client.delete(Pod, "caller", "default", grace_period_s=0)


async def test_a_token_is_an_identity_that_may_see_what_there_is_and_who_it_is(client, with_token):
    async with with_token(await ask_token(client)) as caller:
        user = await who_am_i(caller)
        assert user.username == "system:serviceaccount:default:default"
        assert "system:serviceaccounts:default" in user.groups
        assert any(kind.resource == "pods" for kind in await caller.raw.kinds())
        await cluster_pb2_grpc.ClusterStub(caller.channel).Version(cluster_pb2.VersionRequest(), timeout=DEADLINE_S)
        for call in (
            caller.list(Pod, "default"),
            caller.get(ConfigMap, "kube-root-ca.crt", "default"),
            caller.create(ConfigMap(metadata=ObjectMeta(name="x", namespace="default"))),
            caller.delete(ConfigMap, "kube-root-ca.crt", "default"),
            ask_token(caller),
        ):
            with pytest.raises(errors.Forbidden, match="system:serviceaccount:default:default"):
                await call


async def test_many_callers_at_once_are_each_who_they_are(client, with_token):
    names = [f"robot-{number}" for number in range(8)]
    for name in names:
        await client.create(ServiceAccount(metadata=ObjectMeta(name=name, namespace="default")))
    async with contextlib.AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(with_token(await ask_token(client, name))) for name in names]
        users = await asyncio.gather(*(who_am_i(caller) for _ in range(5) for caller in callers))
    assert [user.username.rpartition(":")[2] for user in users] == names * 5
    for name in names:
        await client.delete(ServiceAccount, name, "default")


async def test_what_is_no_token_is_nobody(client, with_token):
    async with with_token("eyJhbGciOiJub25lIn0.e30.") as caller:
        with pytest.raises(errors.Unauthenticated):
            await who_am_i(caller)
    async with with_token(await ask_token(client, audiences=("vault",))) as caller:
        with pytest.raises(errors.Unauthenticated, match="the token is for vault"):
            await caller.list(Pod, "default")


async def test_a_token_ends_with_its_pod_and_is_reviewed(client, with_token, pod):
    bound = BoundObjectReference(api_version="v1", kind="Pod", name="caller", uid=pod["metadata"]["uid"])
    token = await ask_token(client, bound_object_ref=bound)
    review = TokenReview(spec=TokenReviewSpec(token=token))

    async def reviewed():
        request = accounts_pb2.Review(json=json.encode(review))
        answer = await accounts_pb2_grpc.AccountsStub(client.channel).ReviewToken(request, timeout=DEADLINE_S)
        return json.decode(answer.json, TokenReview).status

    async with with_token(token) as caller:
        await who_am_i(caller)
        status = await reviewed()
        assert status.authenticated and status.user.extra["authentication.kubernetes.io/pod-name"] == ("caller",)
        await client.delete(Pod, "caller", "default", grace_period_s=0)
        with pytest.raises(errors.Unauthenticated, match="does not exist any more"):
            await who_am_i(caller)
        status = await reviewed()
        assert not status.authenticated and "does not exist any more" in status.error


async def test_a_node_gets_tokens_of_its_own_pods_only(client, as_node, pod):
    uid = pod["metadata"]["uid"]
    bound = BoundObjectReference(api_version="v1", kind="Pod", name="caller", uid=uid)
    node = await as_node("holder")
    for spec in ({"bound_object_ref": bound}, {}, {"bound_object_ref": BoundObjectReference(name="caller")}):
        with pytest.raises(errors.Forbidden):
            await ask_token(node, **spec)
    await client.bind(namespace="default", name="caller", uid=uid, node="holder")
    assert await ask_token(node, bound_object_ref=bound)
    with pytest.raises(errors.Forbidden):
        await ask_token(node, "other", bound_object_ref=bound)

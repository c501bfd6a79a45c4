"""Who is let in, and what a node may do."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from knarr_api import errors
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import ConfigMap, Event, Namespace, Node, ObjectReference, Pod, Secret
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import join
from knarr_proto.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    cluster_pb2,
    cluster_pb2_grpc,
    nodes_pb2,
    nodes_pb2_grpc,
    objects_pb2,
    objects_pb2_grpc,
)

DEADLINE_S = 30


def pod(name, namespace="default", **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "web:1"}], "schedulerName": "nobody", **spec},
    }


@pytest.fixture
async def on_node(client):
    """Makes a pod on a node; takes it away in the end."""
    made = []

    async def create(name, node, **spec):
        answer = await client.raw.create(pod(name, **spec))
        await client.bind(namespace="default", name=name, uid=answer.object["metadata"]["uid"], node=node)
        made.append(name)
        return await client.get(Pod, name, "default")

    yield create
    for name in made:
        with contextlib.suppress(errors.NotFound):
            await client.delete(Pod, name, "default", grace_period_s=0)


async def test_nobody_without_a_certificate_is_let_in(control_plane):
    credentials = grpc.ssl_channel_credentials(control_plane.access.ca_pem)
    async with grpc.aio.secure_channel(control_plane.server, credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await cluster_pb2_grpc.ClusterStub(channel).Version(cluster_pb2.VersionRequest(), timeout=DEADLINE_S)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_nobody_without_tls_is_let_in(control_plane):
    for port in (control_plane.port, control_plane.port + 1):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await cluster_pb2_grpc.ClusterStub(channel).Version(cluster_pb2.VersionRequest(), timeout=DEADLINE_S)


async def test_the_join_port_shows_nothing_but_join(control_plane):
    credentials = grpc.ssl_channel_credentials(control_plane.access.ca_pem)
    async with grpc.aio.secure_channel(f"127.0.0.1:{control_plane.port + 1}", credentials) as channel:
        request = objects_pb2.ListRequest(type=objects_pb2.ResourceType(resource="secrets"))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await objects_pb2_grpc.ObjectsStub(channel).List(request, timeout=DEADLINE_S)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_keys_are_for_their_owner_only(control_plane):
    for name in ("admin.kubeconfig", "pki/ca.key", "pki/server.key", "pki/secrets.key"):
        assert (control_plane.data_dir / name).stat().st_mode & 0o777 == 0o600, name


@pytest.mark.parametrize("bad", ["x", "kn1.a.b.c", "kn1.00000000.secret." + "0" * 64])
async def test_a_token_that_is_none_does_not_join(control_plane, bad):
    with pytest.raises((errors.Invalid, errors.Unauthenticated)):
        await join.join(control_plane.server, bad, "n1")


async def test_a_token_is_good_for_its_name_only(control_plane, token):
    with pytest.raises(errors.Unauthenticated, match="is for another node name"):
        await join.join(control_plane.server, await token(node_name="mine"), "other")


async def test_a_revoked_token_does_not_join(control_plane, client, token):
    text = await token()
    nodes = nodes_pb2_grpc.NodesStub(client.channel)
    await nodes.RevokeToken(nodes_pb2.RevokeTokenRequest(id=text.split(".")[1]))
    listed = await nodes.ListTokens(nodes_pb2.ListTokensRequest())
    assert text.split(".")[1] not in {each.id for each in listed.tokens}
    with pytest.raises(errors.Unauthenticated, match="is unknown"):
        await join.join(control_plane.server, text, "n1")


async def test_a_node_renews_its_certificate_and_nobody_elses(as_node):
    node = await as_node("renewing")
    stub = nodes_pb2_grpc.NodesStub(node.channel)
    answer = await stub.Renew(nodes_pb2.RenewRequest(csr_pem=join.make_request("renewing").csr))
    assert answer.certificate_pem
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Renew(nodes_pb2.RenewRequest(csr_pem=join.make_request("other").csr))
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_node_reads_its_own_pods_only(as_node, on_node):
    mine, other = await on_node("mine", "reader"), await on_node("other", "elsewhere")
    node = await as_node("reader")
    page = await node.list(Pod, field_selector="spec.nodeName=reader")
    assert [each.metadata.name for each in page.items] == ["mine"]
    assert (await node.get(Pod, "mine", "default")).metadata.uid == mine.metadata.uid
    with pytest.raises(errors.Forbidden, match='User "system:node:reader" cannot get resource "pods"'):
        await node.get(Pod, other.metadata.name, "default")
    for selector in ("", "spec.nodeName=elsewhere", "spec.nodeName!=reader"):
        with pytest.raises(errors.Forbidden):
            await node.list(Pod, field_selector=selector)
        with pytest.raises(errors.Forbidden):
            await anext(node.watch(Pod, field_selector=selector))


async def test_a_node_reads_the_secrets_that_its_pods_name(as_node, on_node, client):
    for name in ("needed", "private"):
        await client.create(Secret(metadata=ObjectMeta(name=name, namespace="default"), data={"a": b"b"}))
        await client.create(ConfigMap(metadata=ObjectMeta(name=name, namespace="default")))
    volumes = [
        {"name": "s", "secret": {"secretName": "needed"}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "needed"}}]}},
    ]
    await on_node("needs", "keeper", volumes=volumes)
    keeper, stranger = await as_node("keeper"), await as_node("stranger")
    for type_ in (Secret, ConfigMap):
        assert (await keeper.get(type_, "needed", "default")).metadata.name == "needed"
        page = await keeper.list(type_, "default", field_selector="metadata.name=needed")
        assert len(page.items) == 1
        for node, name in ((keeper, "private"), (stranger, "needed")):
            with pytest.raises(errors.Forbidden):
                await node.get(type_, name, "default")
        with pytest.raises(errors.Forbidden):
            await keeper.list(type_, "default")


async def test_a_node_changes_nothing_that_is_not_its_own(as_node, on_node, client):
    await on_node("theirs", "someone")
    node = await as_node("meddler")
    attempts = [
        lambda: node.create(Namespace(metadata=ObjectMeta(name="mine"))),
        lambda: node.create(Pod(metadata=ObjectMeta(name="mine", namespace="default"))),
        lambda: node.create(Node(metadata=ObjectMeta(name="meddler"))),
        lambda: node.patch(Pod, "theirs", "default", patch={"status": {"phase": "Failed"}}, subresource="status"),
        lambda: node.delete(Pod, "theirs", "default"),
        lambda: node.patch(Node, "someone", patch={"status": {}}, subresource="status"),
        lambda: node.patch(Node, "meddler", patch={"spec": {"unschedulable": False}}),
        lambda: node.bind(namespace="default", name="theirs", uid="", node="meddler"),
        lambda: node.list(Secret),
        lambda: node.get(Lease, "someone", "kube-node-lease"),
        lambda: node.create(
            Event(
                metadata=ObjectMeta(name="e", namespace="default"),
                involved_object=ObjectReference(kind="Pod", name="theirs", namespace="default"),
            )
        ),
    ]
    for attempt in attempts:
        with pytest.raises(errors.Forbidden):
            await attempt()
    for call in (
        nodes_pb2_grpc.NodesStub(node.channel).CreateToken(nodes_pb2.CreateTokenRequest()),
        cluster_pb2_grpc.ClusterStub(node.channel).Why(cluster_pb2.WhyRequest(pod="theirs")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_node_tells_events_about_itself_and_its_pods(as_node, on_node):
    await on_node("told", "teller")
    node = await as_node("teller")
    for number, (kind, name, namespace) in enumerate([("Node", "teller", ""), ("Pod", "told", "default")]):
        involved = ObjectReference(kind=kind, name=name, namespace=namespace)
        event = Event(
            metadata=ObjectMeta(name=f"told-{number}", namespace="default"), involved_object=involved, reason="X"
        )
        await node.create(event)
        await node.patch(Event, f"told-{number}", "default", patch={"count": 2})


# The agent's stream


class Agent:
    """Speaks as a node agent does."""

    def __init__(self, node, name):
        self.call = agent_pb2_grpc.AgentStub(node.channel).Connect(timeout=6 * DEADLINE_S)
        self.name = name
        self.sequence = 0

    async def send(self, **content):
        self.sequence += 1
        await self.call.write(agent_pb2.AgentMessage(sequence=self.sequence, **content))
        return self.sequence

    async def hello(self, document=b"{}"):
        await self.send(hello=agent_pb2.Hello(node_name=self.name, agent_version="0", node_json=document))

    async def until_acknowledged(self, sequence):
        """Everything that was refused on the way."""
        refused = []
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.call.read()
                assert message is not grpc.aio.EOF
                if message.WhichOneof("content") == "ack":
                    refused += message.ack.refused
                    if message.ack.sequence >= sequence:
                        return refused


@pytest.fixture
async def agent(as_node):
    opened = []

    async def connect(name, document=b"{}"):
        node = await as_node(name)
        made = Agent(node, name)
        await made.hello(document)
        opened.append(made)
        await made.until_acknowledged(1)
        return made, node

    yield connect
    for each in opened:
        each.call.cancel()


async def test_hello_registers_the_node_and_heartbeats_renew_its_lease(agent, client):
    labels = b'{"metadata": {"labels": {"zone": "a", "x.node-restriction.kubernetes.io/y": "z"}}, '
    speaking, _ = await agent(
        "hailing", labels + b'"status": {"capacity": {"cpu": "2"}}, "spec": {"podCIDR": "9.9.9.0/24"}}'
    )
    node = await client.get(Node, "hailing")
    assert node.metadata.labels == {"zone": "a"}
    assert str(node.status.capacity["cpu"]) == "2"
    assert node.spec.pod_cidr != "9.9.9.0/24"
    assert "node.kubernetes.io/not-ready" in {taint.key for taint in node.spec.taints}
    lease = await client.get(Lease, "hailing", "kube-node-lease")
    assert lease.spec.holder_identity == "hailing"
    assert lease.metadata.owner_references[0].uid == node.metadata.uid
    batches = client.watch(Lease, "kube-node-lease", resource_version=lease.metadata.resource_version)
    await speaking.send(heartbeat=agent_pb2.Heartbeat())
    async with asyncio.timeout(DEADLINE_S):
        while True:
            renewed = [event.object for event in await anext(batches) if event.object is not None]
            if any(each.metadata.name == "hailing" for each in renewed):
                break
    await batches.aclose()


async def test_an_agent_that_returns_changes_its_node_in_one_write(agent, client):
    _, node = await agent("returning", b'{"metadata": {"labels": {"zone": "a"}}}')
    before = await client.patch(Node, "returning", patch={"metadata": {"labels": {"mine": "yes"}}})
    batches = client.watch(
        Node, field_selector="metadata.name=returning", resource_version=before.metadata.resource_version
    )
    again = Agent(node, "returning")
    await again.hello(b'{"metadata": {"labels": {"zone": "b"}}, "status": {"capacity": {"cpu": "3"}}}')
    await again.until_acknowledged(1)
    seen = []
    async with asyncio.timeout(DEADLINE_S):
        while not any(node.metadata.labels["zone"] == "b" for node in seen):  # controllers write the Node as well
            seen += [event.object for event in await anext(batches) if event.object is not None]
    await batches.aclose()
    changed = next(node for node in seen if node.metadata.labels["zone"] == "b")
    assert changed.metadata.labels == {"zone": "b", "mine": "yes"}
    assert str(changed.status.capacity["cpu"]) == "3"
    assert changed.metadata.uid == before.metadata.uid
    again.call.cancel()


async def test_a_node_that_reports_keeps_its_name(agent, token, control_plane):
    await agent("taken")
    with pytest.raises(errors.AlreadyExists, match="choose another name"):
        await join.join(control_plane.server, await token(), "taken")


async def test_an_agent_speaks_for_its_own_node_only(as_node):
    node = await as_node("honest")
    liar = Agent(node, "victim")
    await liar.hello()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await liar.call.read()
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_newer_stream_ends_the_older(agent, as_node):
    older, node = await agent("twice")
    newer = Agent(node, "twice")
    await newer.hello()
    await newer.until_acknowledged(1)
    async with asyncio.timeout(DEADLINE_S):
        while await older.call.read() is not grpc.aio.EOF:
            pass
    await newer.until_acknowledged(await newer.send(node_status=agent_pb2.NodeStatus(status_json=b"{}")))
    newer.call.cancel()


def report(pod_, status, *, uid="", terminated=False):
    update = agent_pb2.PodStatusUpdate(
        namespace="default",
        name=pod_.metadata.name,
        uid=uid or pod_.metadata.uid,
        status_json=status,
        terminated=terminated,
    )
    return agent_pb2.PodStatuses(updates=[update])


async def test_statuses_are_stored_and_a_deleted_pod_goes_when_it_has_ended(agent, on_node, client):
    mine = await on_node("reported", "reporter")
    speaking, _ = await agent("reporter")
    status = b'{"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}'
    assert not await speaking.until_acknowledged(await speaking.send(pod_statuses=report(mine, status)))
    stored = await client.get(Pod, "reported", "default")
    assert stored.status.phase == "Running"
    assert {c.type for c in stored.status.conditions} == {"Ready", "PodScheduled"}
    assert stored.spec == mine.spec
    await client.delete(Pod, "reported", "default")
    assert (await client.get(Pod, "reported", "default")).metadata.deletion_timestamp is not None
    assert not await speaking.until_acknowledged(
        await speaking.send(pod_statuses=report(mine, b'{"phase": "Failed"}', terminated=True))
    )
    with pytest.raises(errors.NotFound):
        await client.get(Pod, "reported", "default")


async def test_a_status_that_is_refused_does_not_hold_up_the_others(agent, on_node):
    theirs, mine = await on_node("foreign", "nobody"), await on_node("own", "refused")
    speaking, _ = await agent("refused")
    codes = []
    for sent in (
        report(theirs, b'{"phase": "Failed"}'),
        report(mine, b'{"phase": "Running"}', uid="another"),
        report(mine, b'{"phase": 5}'),
        report(mine, b'{"phase": "Running"}'),
    ):
        refused = await speaking.until_acknowledged(await speaking.send(pod_statuses=sent))
        codes.append([each.code for each in refused])
    permission_denied, not_found, invalid_argument = 7, 5, 3
    assert codes == [[permission_denied], [not_found], [invalid_argument], []]


async def test_a_misshapen_node_is_refused(as_node):
    speaking = Agent(await as_node("misshapen"), "misshapen")
    await speaking.hello(b'{"spec": {"taints": 5}}')
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await speaking.call.read()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT

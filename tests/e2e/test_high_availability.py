"""Three control planes on one etcd: any of them may be lost, and it shows in nothing but who leads."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from knarr_api.errors import Conflict, Unavailable
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import Pod
from knarr_client import kubeconfig
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access
from knarr_controlplane.leader import LeaderSettings
from knarr_controlplane.store.etcd_process import arguments
from tests.slowness import patient

LEASE = ("knarr-controller-manager", "kube-system")
MOVES_WITHIN_S = 3.0
COUNT = 12
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: main, image: "knarr/busybox:1", command: [sh, -c, "echo started; exec sleep 100000"]}
"""


@pytest.fixture
def three(cluster: Any) -> Any:
    cluster.up("--store", "etcd", "--control-planes", "3", nodes=1)
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    return cluster


def access(cluster: Any) -> Access:
    return kubeconfig.load(cluster.data_dir / "admin.kubeconfig")


def only(cluster: Any, ordinal: int) -> Path:
    """A kubeconfig that knows one of the control planes."""
    document = yaml.safe_load((cluster.data_dir / "admin.kubeconfig").read_text())
    known = document["clusters"][0]["cluster"]
    servers = [known["server"], *known.pop("extensions")[0]["extension"]["servers"]]
    known["server"] = servers[ordinal]
    path: Path = cluster.data_dir.parent / f"only-{ordinal}.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def pid_of(lease: Lease) -> int:
    return int(lease.spec.holder_identity.rpartition("-")[2])


async def kill_leader(client: GrpcClient) -> float:
    """SIGKILL to the process that leads; returns the seconds until another says that it does."""
    leader = pid_of(await client.get(Lease, *LEASE))
    os.kill(leader, signal.SIGKILL)
    killed_at = time.monotonic()
    await until_led_by_another(client, leader)
    return time.monotonic() - killed_at


async def scale(client: GrpcClient, replicas: int) -> None:
    """Again where nobody knows whether it was done: the control plane that was asked may have been killed."""
    async with asyncio.timeout(patient(60)):
        while True:
            deployment = await client.get(Deployment, "web", "default")
            spec = msgspec.structs.replace(deployment.spec, replicas=replicas)
            try:
                await client.update(msgspec.structs.replace(deployment, spec=spec))
            except (Conflict, Unavailable):
                await asyncio.sleep(0.1)
            else:
                return


async def until_prompt(client: GrpcClient) -> None:
    """A leader that is slow, as one is at first on a busy machine, claims its Lease for longer than it needs later."""
    async with asyncio.timeout(patient(60)):
        while True:
            lease = await client.get(Lease, *LEASE)
            if lease.spec.lease_duration_seconds == LeaderSettings().duration_s:
                return
            await asyncio.sleep(0.1)


async def until_led_by_another(client: GrpcClient, before: int) -> None:
    async with asyncio.timeout(patient(30)):
        while True:
            lease = await client.get(Lease, *LEASE)
            if lease.spec.holder_identity and pid_of(lease) != before:
                return
            await asyncio.sleep(0.02)


async def until_ready(client: GrpcClient, replicas: int) -> None:
    """That many pods and no more."""
    async with asyncio.timeout(patient(60)):
        while True:
            status = (await client.get(Deployment, "web", "default")).status
            if status.ready_replicas == replicas and len((await client.list(Pod, "default")).items) == replicas:
                return
            await asyncio.sleep(0.1)


def test_leadership_moves_within_3_s_and_nothing_is_done_twice(three: Any) -> None:
    """The leader is killed while it scales up, down and up again: each pod is made once and none is made in vain."""

    async def work() -> list[float]:
        took: list[float] = []
        made: set[str] = set()
        async with GrpcClient.connect(access(three)) as client:
            before = await client.list(Pod, "default")
            made.update(pod.metadata.uid for pod in before.items)

            async def watch() -> None:
                from_revision = before.resource_version
                while True:
                    try:
                        async for batch in client.watch(Pod, "default", resource_version=from_revision):
                            from_revision = batch[-1].resource_version
                            made.update(event.object.metadata.uid for event in batch if event.object is not None)
                    except Exception:  # noqa: BLE001 the control plane asked was the one killed
                        await asyncio.sleep(0.05)

            watching = asyncio.create_task(watch())
            expected = 2
            for replicas in (COUNT, 2, COUNT):
                await until_prompt(client)
                await scale(client, replicas)
                took.append(await kill_leader(client))
                await until_ready(client, replicas)
                expected += max(replicas - 2, 0)
            present = {pod.metadata.uid for pod in (await client.list(Pod, "default")).items}
            async with asyncio.timeout(patient(60)):
                while not present <= made:  # noqa: ASYNC110 - the watch may be a little behind
                    await asyncio.sleep(0.05)
            watching.cancel()
            assert len(made) == expected
        return took

    took = asyncio.run(work())
    print("leadership moved after", *(f"{each:.2f} s" for each in took))
    assert max(took) < patient(MOVES_WITHIN_S)


def test_each_serves_all_and_none_is_needed(three: Any, until_true: Any) -> None:
    uids = {pod["metadata"]["uid"] for pod in three.pods("app=web")}
    name = three.pods("app=web")[0]["metadata"]["name"]
    for ordinal in range(3):
        assert three.ok("--kubeconfig", str(only(three, ordinal)), "logs", name) == "started\n"
    done = three.run("--kubeconfig", str(only(three, 0)), "logs", "nothing-like-it")
    assert done.returncode == 1 and "not found" in done.stderr
    for ordinal in range(3):
        config = ("--kubeconfig", str(only(three, ordinal)))
        until_true(lambda config=config: name in three.run(*config, "top", "pods").stdout, "what pods use to be known")
    for process in ("controlplane", "controlplane-2", "controlplane-3"):
        three.kill(process)
        assert "web" in three.ok("get", "deployments")
        until_true(lambda: three.run("logs", name).stdout == "started\n", "the agent to be reached again")
    (node,) = three.get("nodes")["items"]
    assert all(taint["effect"] != "NoExecute" for taint in node["spec"].get("taints", []))
    assert {pod["metadata"]["uid"] for pod in three.pods("app=web")} == uids
    assert all(
        each["restartCount"] == 0 for pod in three.pods("app=web") for each in pod["status"]["containerStatuses"]
    )


TICKER = """
apiVersion: v1
kind: Pod
metadata: {name: ticker}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: "knarr/busybox:1"
      command: [sh, -c, "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done"]
"""
NUMBERED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: numbered}\ndata: {number: 'NUMBER'}\n"
APPLIES_EACH = 5


def test_commands_go_on_over_the_loss_of_each_control_plane(three: Any, until_true: Any) -> None:
    """``logs -f`` shows every line once, ``get -w`` the last of every change, and every ``apply`` is done."""
    three.ok("apply", "-f", "-", stdin=TICKER)
    three.ok("wait", "pod/ticker", "--for", "condition=Ready", "--timeout", "60s")
    there = three.data_dir.parent
    shown = {"log": ("logs", "-f", "ticker"), "changes": ("get", "configmaps", "-w", "-o", "jsonpath={.data.number} ")}
    running = []
    for name, words in shown.items():
        with open(there / name, "wb") as out, open(there / f"{name}.errors", "wb") as errors:
            command = [*three.knarr, *words]
            running.append(subprocess.Popen(command, env=three.environment, stdout=out, stderr=errors))
    try:
        until_true(lambda: (there / "log").stat().st_size, "the log to be followed")
        number = 0
        for process in ("controlplane", "controlplane-2", "controlplane-3"):
            os.kill(three.pid(process), signal.SIGKILL)
            for _ in range(APPLIES_EACH):
                number += 1
                three.ok("apply", "-f", "-", stdin=NUMBERED.replace("NUMBER", str(number)))
            lines = len((there / "log").read_text().splitlines())
            until_true(
                lambda lines=lines: len((there / "log").read_text().splitlines()) > lines + 20, "the log to go on"
            )
            three.pid(process)
        until_true(lambda: (there / "changes").read_text().split()[-1] == str(number), "the last change to be shown")
        assert all(each.poll() is None for each in running)
    finally:
        for each in running:
            each.kill()
            each.wait()
    *lines, _ = (there / "log").read_text().splitlines()
    assert lines == [f"line {number}" for number in range(len(lines))]
    changes = [int(each) for each in (there / "changes").read_text().split()]
    assert changes == sorted(set(changes))
    assert not (there / "log.errors").read_text() and not (there / "changes.errors").read_text()


def test_a_frozen_leader_does_nothing_when_it_wakes(three: Any) -> None:
    """Agents notice as well that it does not answer, and go elsewhere before their nodes are taken for lost."""
    paths = [only(three, ordinal) for ordinal in range(3)]

    async def work() -> None:
        async with GrpcClient.connect(access(three)) as client:
            first = pid_of(await client.get(Lease, *LEASE))
            await scale(client, COUNT)
        os.kill(first, signal.SIGSTOP)  # while it makes pods
        try:
            reachable = await who_answers([kubeconfig.load(path) for path in paths])
            async with GrpcClient.connect(reachable) as client:
                await until_led_by_another(client, first)
                await until_ready(client, COUNT)
                await scale(client, 5)
                await until_ready(client, 5)
                lease = await client.get(Lease, *LEASE)
        finally:
            os.kill(first, signal.SIGCONT)
        async with GrpcClient.connect(reachable) as client:
            # Long enough for the one that woke to notice, were it to write.
            await asyncio.sleep(patient(3))
            now = await client.get(Lease, *LEASE)
            assert (now.spec.holder_identity, now.spec.lease_transitions) == (
                lease.spec.holder_identity,
                lease.spec.lease_transitions,
            )
            assert len((await client.list(Pod, "default")).items) == 5

    asyncio.run(work())


async def who_answers(candidates: list[Access]) -> Access:
    """One that is not frozen."""

    async def ask(candidate: Access) -> Access:
        async with GrpcClient.connect(candidate) as client:
            await client.get(Lease, *LEASE)
        return candidate

    asked = [asyncio.create_task(ask(candidate)) for candidate in candidates]
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return done.pop().result()


def test_no_node_is_taken_for_lost_because_the_store_was_away(cluster: Any, until_true: Any) -> None:
    """Every member of etcd stands still for longer than a node may be silent; pods do not notice."""
    flags = ("--store", "etcd", "--control-planes", "2", "--etcd-members", "3")
    cluster.up(*flags, "--node-grace", "4", "--eviction-grace", "1", nodes=1)
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    before = {pod["metadata"]["uid"] for pod in cluster.pods("app=web")}
    (transition,) = ready_since(cluster)
    members = [cluster.pid(f"etcd-{ordinal}") for ordinal in (1, 2, 3)]
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(3 * patient(4))
    finally:
        for pid in members:
            os.kill(pid, signal.SIGCONT)
    until_true(lambda: cluster.run("get", "pods").returncode == 0, "the API to answer again")
    cluster.ok("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 3"))
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    time.sleep(2 * patient(4))
    assert before <= {pod["metadata"]["uid"] for pod in cluster.pods("app=web")}
    assert ready_since(cluster) == [transition]


QUOTA_BYTES = 16 * 1024 * 1024
FILLER = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: filler-NUMBER, labels: {filler: 'yes'}}\ndata: {text: TEXT}\n"
)


@pytest.fixture
def small_etcd(tmp_path: Path) -> Iterator[str]:
    """``--store`` for an etcd that is full soon."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        client, peer = one.getsockname()[1], other.getsockname()[1]
    words = arguments(tmp_path / "small-etcd", None, client_port=client, peer_port=peer)
    words[words.index("--quota-backend-bytes") + 1] = str(QUOTA_BYTES)
    with open(tmp_path / "small-etcd.log", "wb") as log:
        process = subprocess.Popen(["etcd", *words], stdout=log, stderr=log)
    yield f"etcd://127.0.0.1:{client}"
    process.kill()
    process.wait()


@pytest.mark.timeout(patient(240))
def test_a_full_etcd_refuses_writes_and_heals_once_there_is_room(
    cluster: Any, small_etcd: str, until_true: Any
) -> None:
    """Reads and pods go on, no node is taken for lost though no heartbeat can be stored, and nobody must disarm it."""
    cluster.up("--store", small_etcd, "--control-planes", "2", "--node-grace", "4", "--eviction-grace", "1", nodes=1)
    cluster.import_busybox()
    cluster.ok("apply", "-f", "-", stdin=DEPLOYMENT)
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    before = {pod["metadata"]["uid"] for pod in cluster.pods("app=web")}
    (transition,) = ready_since(cluster)
    text = "x" * 1_000_000
    made = 0
    while (done := filled(cluster, made, text)).returncode == 0:
        made += 1
        assert made < 2 * QUOTA_BYTES // len(text)
    assert "etcd is full (NOSPACE): delete what is not needed" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) < 10
    time.sleep(3 * patient(4))
    assert ready_since(cluster) == [transition]
    assert {pod["metadata"]["uid"] for pod in cluster.pods("app=web")} == before
    assert cluster.ok("logs", cluster.pods("app=web")[0]["metadata"]["name"]) == "started\n"
    cluster.ok("delete", "configmaps", "-l", "filler=yes")
    until_true(lambda: filled(cluster, 0, "small").returncode == 0, "writes to be taken again", timeout_s=60)
    cluster.ok("scale", "deployment/web", "--replicas", "3")
    cluster.ok("rollout", "status", "deployment/web", "--timeout", "60s")
    time.sleep(2 * patient(4))
    assert before <= {pod["metadata"]["uid"] for pod in cluster.pods("app=web")}
    assert ready_since(cluster) == [transition]


def filled(cluster: Any, number: int, text: str) -> Any:
    return cluster.run("create", "-f", "-", stdin=FILLER.replace("NUMBER", str(number)).replace("TEXT", text))


def ready_since(cluster: Any) -> list[tuple[str, str]]:
    conditions = [each for node in cluster.get("nodes")["items"] for each in node["status"]["conditions"]]
    return [(each["status"], each["lastTransitionTime"]) for each in conditions if each["type"] == "Ready"]

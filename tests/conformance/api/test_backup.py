"""A cluster's store and keys in one file, and a control plane that goes on from it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import msgspec
import pytest

from knarr_api import grpc_status
from knarr_api.errors import Expired, Forbidden
from knarr_api.types.core_v1 import ConfigMap, Secret
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import cluster_pb2, cluster_pb2_grpc
from tests.processes import running

KNARR = str(Path(sys.executable).parent / "knarr")
OFFLINE = (sys.executable, "-m", "knarr_controlplane.backup")
DEADLINE_S = 30
OURS = "metadata.name!=kube-root-ca.crt"
MANY, AT_ONCE = 3000, 100

STORES = ["sqlite", pytest.param("etcd", marks=pytest.mark.etcd)]


def knarr(*words, kubeconfig=None):
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig or "/nonexistent")}
    return subprocess.run([KNARR, *words], capture_output=True, text=True, env=environment, timeout=120)


def config_map(name, **data):
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def plain(file):
    """What is in it, not compressed."""
    return subprocess.run(["zstd", "-dc", file], capture_output=True, check=True).stdout


def restore_and_kill(words):
    """SIGKILL when a third of it is done."""
    with running((*OFFLINE, *words), stdout=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["objects"] == MANY / 3
        process.send_signal(signal.SIGKILL)


def refusal(data_dir, store):
    """Why no control plane starts there."""
    words = [sys.executable, "-m", "knarr_controlplane", "--data-dir", data_dir, "--store", store]
    done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1
    return done.stderr


async def fill(access, count=3):
    """A Secret, and ConfigMaps c0, c1, …"""
    async with GrpcClient.connect(access) as client:
        await client.create(Secret(metadata=ObjectMeta(name="s", namespace="default"), data={"key": b"hidden"}))
        for start in range(0, count, AT_ONCE):
            names = [f"c{i}" for i in range(start, min(start + AT_ONCE, count))]
            await asyncio.gather(*(client.create(config_map(name, n=name)) for name in names))


@pytest.mark.parametrize("into", STORES)
@pytest.mark.parametrize("of", STORES)
async def test_a_restored_control_plane_goes_on(tmp_path, start, free_port, of, into):
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "b"
    with start(old, free_port(), "--store", of) as running:
        await fill(running.access)
        done = knarr("backup", "-o", str(file), kubeconfig=old / "admin.kubeconfig")
        assert done.returncode == 0, done.stderr
        async with GrpcClient.connect(running.access) as client:
            late = await client.create(config_map("late"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"hidden" not in plain(file)
    assert knarr("backup", "--verify", str(file)).returncode == 0
    done = knarr("restore", str(file), "--data-dir", str(new), "--store", into)
    assert done.returncode == 0, done.stderr
    with start(new, free_port(), "--store", into) as running:
        assert (new / "pki/ca.crt").read_bytes() == (old / "pki/ca.crt").read_bytes()
        async with GrpcClient.connect(running.access) as client:
            assert (await client.get(Secret, "s", "default")).data == {"key": b"hidden"}
            page = await client.list(ConfigMap, "default", field_selector=OURS)
            assert {each.metadata.name for each in page.items} == {"c0", "c1", "c2"}
            before = int(late.metadata.resource_version)
            assert all(int(each.metadata.resource_version) > before for each in page.items)
            made = await client.create(config_map("late"))
            assert int(made.metadata.resource_version) > int(page.resource_version) > before
            changed = await client.update(msgspec.structs.replace(page.items[0], data={"n": "x"}))
            assert int(changed.metadata.resource_version) > int(page.items[0].metadata.resource_version)
            for past in (before, 300, int(made.metadata.resource_version) + (1 << 40)):
                async with asyncio.timeout(DEADLINE_S):
                    with pytest.raises(Expired):
                        async for _ in client.watch(ConfigMap, "default", resource_version=str(past)):
                            raise AssertionError("went on in another history")
            seen = []
            async with asyncio.timeout(DEADLINE_S):
                async for batch in client.watch(ConfigMap, "default", resource_version=page.resource_version):
                    seen += [event.object.metadata.name for event in batch if event.object is not None]
                    if len(seen) >= 1:
                        break
            assert seen[0] == "late"
    # Once more, from what was restored and taken without a control plane: numbers go on growing.
    again = tmp_path / "again"
    done = knarr("backup", "-o", str(again), "--data-dir", str(new))
    assert done.returncode == 0, done.stderr
    done = knarr("restore", str(again), "--data-dir", str(tmp_path / "third"))
    assert done.returncode == 0, done.stderr
    with start(tmp_path / "third", free_port()) as running:
        async with GrpcClient.connect(running.access) as client:
            page = await client.list(ConfigMap, "default", field_selector=OURS)
            assert len(page.items) == 4 and int(page.resource_version) > int(changed.metadata.resource_version)


async def test_a_backup_is_of_one_revision_while_others_write(tmp_path, start, free_port):
    """Pairs are written together in one order; a backup never has the second without the first."""
    with start(tmp_path / "a", free_port()) as running:
        await fill(running.access, count=1500)
        async with GrpcClient.connect(running.access) as client:
            stop = asyncio.Event()

            async def write():
                number = 0
                while not stop.is_set():
                    await client.create(config_map(f"a-{number:05}"))
                    await client.create(config_map(f"z-{number:05}"))
                    number += 1

            writing = asyncio.create_task(write())
            for attempt in range(3):
                chunks = cluster_pb2_grpc.ClusterStub(client.channel).Backup(cluster_pb2.BackupRequest())
                (tmp_path / f"b{attempt}").write_bytes(b"".join([chunk.data async for chunk in chunks]))
            stop.set()
            await writing
    counted = []
    for attempt in range(3):
        text = plain(tmp_path / f"b{attempt}")
        firsts, seconds = text.count(b"/default/a-"), text.count(b"/default/z-")
        assert firsts - seconds in (0, 1)
        counted.append(firsts)
    assert counted[-1] > counted[0]


async def test_only_administrators_get_one(as_node):
    client = await as_node("n-backup")
    stub = cluster_pb2_grpc.ClusterStub(client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in stub.Backup(cluster_pb2.BackupRequest()):
            raise AssertionError("a node got the keys")
    assert isinstance(grpc_status.from_rpc(refused.value), Forbidden)


async def test_wrong_uses_are_refused_and_change_nothing(tmp_path, start, free_port):
    data_dir, file = tmp_path / "d", tmp_path / "b"
    with start(data_dir, free_port()) as running:
        await fill(running.access)
        config = data_dir / "admin.kubeconfig"
        assert knarr("backup", "-o", str(file), kubeconfig=config).returncode == 0
        content = file.read_bytes()
        done = knarr("backup", "-o", str(file), kubeconfig=config)
        assert done.returncode == 1 and f"{file} exists" in done.stderr
        done = knarr("backup", "-o", str(tmp_path / "c"), "--data-dir", str(data_dir))
        assert done.returncode == 1 and "in use by process" in done.stderr
        done = knarr("restore", str(file), "--data-dir", str(data_dir))
        assert done.returncode == 1 and "in use by process" in done.stderr
    done = knarr("restore", str(file), "--data-dir", str(data_dir))
    assert done.returncode == 1 and "is not empty" in done.stderr
    with start(tmp_path / "other", free_port()):
        pass
    (tmp_path / "other/store.sqlite").unlink()
    done = knarr("restore", str(file), "--data-dir", str(tmp_path / "other"))
    assert done.returncode == 1 and "another cluster's" in done.stderr
    file.write_bytes(content[:-20])
    for words in (("backup", "--verify", str(file)), ("restore", str(file), "--data-dir", str(tmp_path / "new"))):
        done = knarr(*words)
        assert done.returncode == 1 and "incomplete" in done.stderr
    assert not (tmp_path / "new").exists()
    done = knarr("backup", "-o", str(tmp_path / "no/such/directory"), kubeconfig=config)
    assert done.returncode == 1 and "can't be written: No such file or directory" in done.stderr
    done = knarr("backup", "-o", str(tmp_path / "c"), kubeconfig=config)
    assert done.returncode == 1 and "name its --data-dir" in done.stderr
    assert knarr("backup").returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "d", "other"]


@pytest.mark.parametrize("into", STORES)
async def test_a_restore_killed_anywhere_can_be_repeated(tmp_path, start, free_port, into):
    file, new = tmp_path / "b", tmp_path / "new"
    with start(tmp_path / "old", free_port()) as running:
        await fill(running.access, count=MANY)
        assert knarr("backup", "-o", str(file), kubeconfig=tmp_path / "old/admin.kubeconfig").returncode == 0
    words = ("restore", str(file), "--data-dir", str(new), "--store", into)
    restore_and_kill(words)
    assert "repeat 'knarr restore'" in refusal(new, into)
    done = knarr(*words)
    assert done.returncode == 0, done.stderr
    assert f"was restored with --store {into}" in refusal(new, "memory")
    with start(new, free_port(), "--store", into) as running:
        async with GrpcClient.connect(running.access) as client:
            assert len((await client.list(ConfigMap, "default", field_selector=OURS)).items) == MANY


@pytest.mark.parametrize("store", STORES)
async def test_a_control_plane_whose_store_was_not_moved_away_starts_after_the_refused_restore(
    tmp_path, start, free_port, store
):
    file, old = tmp_path / "b", tmp_path / "old"
    with start(old, free_port(), "--store", store) as running:
        await fill(running.access)
        assert knarr("backup", "-o", str(file), kubeconfig=old / "admin.kubeconfig").returncode == 0
    done = knarr("restore", str(file), "--data-dir", str(old), "--store", store)
    assert done.returncode == 1 and "is not empty" in done.stderr
    with start(old, free_port(), "--store", store) as running:
        async with GrpcClient.connect(running.access) as client:
            assert len((await client.list(ConfigMap, "default", field_selector=OURS)).items) == 3

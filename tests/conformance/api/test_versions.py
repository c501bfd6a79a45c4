"""Control planes of two versions on one etcd: neither loses what the other has written, or it says so and stops.

The newer one is a copy of the packages in which something differs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import knarr_api
import knarr_controlplane
from knarr_api import errors, kinds
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import ConfigMap
from knarr_client.grpc import GrpcClient
from knarr_controlplane.store import format as store_format
from tests.slowness import patient

pytestmark = pytest.mark.etcd
MAPS, DEPLOYMENTS = kinds.of(ConfigMap), kinds.of(Deployment)
DEADLINE_S = 30.0
FIELD = '    flavour: str = ""\n'
NEWER_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "newer", "namespace": "default"},
    "data": {"a": "1"},
    "flavour": "salty",
}
NEWER_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "newer", "namespace": "default"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "newer"}},
        "template": {
            "metadata": {"labels": {"app": "newer"}},
            "spec": {"containers": [{"name": "main", "image": "shop:1", "flavour": "sweet"}]},
        },
    },
}

Change = Callable[[Path], None]


@pytest.fixture
def newer(tmp_path: Path) -> Callable[..., Path]:
    """``newer(change, …)``: where the packages of a later version lie, which differ as the changes say."""

    def copy(*changes: Change) -> Path:
        there = tmp_path / "later"
        for package in (knarr_api, knarr_controlplane):
            source = Path(package.__path__[0])
            shutil.copytree(source, there / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        replace(there / "knarr_controlplane/version.py", 'VERSION = "0.1.0"', 'VERSION = "9.9.9"')
        for change in changes:
            change(there)
        return there

    return copy


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def with_new_fields(there: Path) -> None:
    """ConfigMaps and containers have one field more."""
    types = there / "knarr_api/types/core_v1.py"
    for name in ("ConfigMap", "Container"):
        head, _, body = types.read_text().partition(f"class {name}(msgspec.Struct,")
        before, _, after = body.partition("    metadata: " if name == "ConfigMap" else '    name: str = ""\n')
        kept = "    metadata: " if name == "ConfigMap" else '    name: str = ""\n'
        types.write_text(f"{head}class {name}(msgspec.Struct,{before}{FIELD}{kept}{after}")


def with_new_format(there: Path) -> None:
    """The store has another format, to which the older one is brought."""
    module = there / "knarr_controlplane/store/format.py"
    replace(module, "FORMAT = 1\n", "FORMAT = 2\n")
    replace(module, "await STEPS[step](store)", "await asyncio.sleep(0)")


def with_changed_field(there: Path) -> None:
    """``immutable`` is a string."""
    replace(there / "knarr_api/types/core_v1.py", "immutable: bool | None = None", 'immutable: str = ""')


@contextmanager
def of(package: Path) -> Iterator[None]:
    """Processes started now have these packages."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(package)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def shared_keys(tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "old/pki", tmp_path / "new/pki")


async def test_what_an_older_one_changes_keeps_what_only_a_newer_one_knows(
    tmp_path: Path, start: Any, two_ports: Any, etcd: int, newer: Any
) -> None:
    package, store = newer(with_new_fields), ("--store", f"etcd://127.0.0.1:{etcd}")
    with start(tmp_path / "old", two_ports(), *store) as old:
        shared_keys(tmp_path)
        with of(package), start(tmp_path / "new", two_ports(), *store) as new:
            assert json.loads((tmp_path / "new/controlplane.ready").read_text())["version"] == "9.9.9"
            async with GrpcClient.connect(old.access) as at_old, GrpcClient.connect(new.access) as at_new:
                for document in (NEWER_MAP, NEWER_DEPLOYMENT):
                    await at_new.raw.create(document)
                    with pytest.raises(errors.Invalid, match=r'unknown field "[a-zA-Z0-9.\[\]]*flavour"'):
                        await at_old.raw.create({**document, "metadata": {"name": "refused", "namespace": "default"}})
                seen = await at_old.get(ConfigMap, "newer", "default")
                await at_old.update(seen)
                await at_old.patch(ConfigMap, "newer", "default", patch={"data": {"b": "2"}})
                await at_old.patch(Deployment, "newer", "default", patch={"metadata": {"labels": {"by": "old"}}})
                await at_old.patch(Deployment, "newer", "default", patch={"spec": {"minReadySeconds": 3}})
                changed = await at_new.raw.get(MAPS, "newer", "default")
                assert (changed["flavour"], changed["data"]) == ("salty", {"a": "1", "b": "2"})
                await until_observed(at_new)
                changed = await at_new.raw.get(DEPLOYMENTS, "newer", "default")
                assert changed["metadata"]["labels"] == {"by": "old"}
                assert changed["spec"]["minReadySeconds"] == 3
                assert changed["spec"]["template"]["spec"]["containers"][0]["flavour"] == "sweet"
                await leads(at_new, old.process.pid)
                old.process.terminate()
                await asyncio.to_thread(old.process.wait, DEADLINE_S)
                await leads(at_new, new.process.pid)
                assert (await at_new.raw.get(MAPS, "newer", "default"))["flavour"] == "salty"


async def until_observed(client: GrpcClient) -> None:
    """The controller, of whichever version, has written the status."""
    async with asyncio.timeout(patient(DEADLINE_S)):
        while True:
            deployment = await client.get(Deployment, "newer", "default")
            if deployment.status.observed_generation == deployment.metadata.generation:
                return
            await asyncio.sleep(0.05)


async def leads(client: GrpcClient, pid: int) -> None:
    async with asyncio.timeout(patient(DEADLINE_S)):
        while True:
            lease = await client.get(Lease, "knarr-controller-manager", "kube-system")
            if lease.spec.holder_identity.endswith(f"-{pid}"):
                return
            await asyncio.sleep(0.05)


async def test_a_store_of_a_later_format_is_refused_and_one_that_becomes_so_is_left(
    tmp_path: Path, start: Any, two_ports: Any, etcd: int, newer: Any
) -> None:
    package, store = newer(with_new_format), ("--store", f"etcd://127.0.0.1:{etcd}")
    said = "the store has format 2, set by Knarr 9.9.9; this is Knarr "
    with start(tmp_path / "old", two_ports(), *store) as old:
        shared_keys(tmp_path)
        with of(package), start(tmp_path / "new", two_ports(), *store) as new:
            assert await asyncio.to_thread(old.process.wait, patient(store_format.LOOK_S + DEADLINE_S)) == 1
            assert said in (tmp_path / "old/log").read_text()
            refused = await asyncio.to_thread(started, tmp_path / "old", *store)
            assert refused.returncode == 1
            assert refused.stderr.startswith(f"knarr-controlplane: {said}") and "restore a backup" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1
            async with GrpcClient.connect(new.access) as client:
                assert await client.list(ConfigMap, "default"), "the later one goes on"


def started(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Of the version that the tests are of."""
    command = [sys.executable, "-m", "knarr_controlplane", "--data-dir", str(data_dir), *words]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, env=own, capture_output=True, text=True, timeout=patient(DEADLINE_S))


async def test_what_an_older_one_can_not_read_it_neither_changes_nor_takes_for_gone(
    tmp_path: Path, start: Any, two_ports: Any, etcd: int, newer: Any
) -> None:
    package, store = newer(with_changed_field), ("--store", f"etcd://127.0.0.1:{etcd}")
    plain = {key: value for key, value in NEWER_MAP.items() if key != "flavour"}
    with start(tmp_path / "old", two_ports(), *store) as old:
        shared_keys(tmp_path)
        with of(package), start(tmp_path / "new", two_ports(), *store) as new:
            async with GrpcClient.connect(old.access) as at_old, GrpcClient.connect(new.access) as at_new:
                made = await at_old.raw.create(plain)
                revision = made.object["metadata"]["resourceVersion"]
                watching = at_old.watch(ConfigMap, "default", resource_version=revision)
                await at_new.raw.patch(MAPS, "newer", "default", patch={"immutable": "perhaps"})
                assert (await at_old.raw.get(MAPS, "newer", "default"))["data"] == {"a": "1"}
                with pytest.raises(errors.Conflict):
                    await at_old.patch(ConfigMap, "newer", "default", patch={"data": {"a": "2"}})
                assert (await at_new.raw.get(MAPS, "newer", "default"))["immutable"] == "perhaps"
                await at_new.raw.delete(MAPS, "newer", "default")
                async with asyncio.timeout(patient(DEADLINE_S)):
                    batch = await anext(watching)
                assert [event.type.value for event in batch] == ["DELETED"], "and not when it could not be read"

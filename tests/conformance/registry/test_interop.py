"""Images between us, a real registry and other tools: what goes in comes out, digest by digest."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.images.registry.client import Registry
from knarr_runtime.images.registry.settings import RegistrySettings
from knarr_runtime.images.registry.transport import Cancellation
from knarr_runtime.images.store import ImageStore
from tests.slowness import patient

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = patient(20.0)

pytestmark = pytest.mark.root


def run(*words: object) -> str:
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patient(120))
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a docker-registry of the test's own, on loopback."""
    base = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    storage = {"filesystem": {"rootdirectory": str(base / "data")}, "delete": {"enabled": True}}
    document = {"version": 0.1, "log": {"level": "error"}, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}
    (base / "config.yml").write_text(json.dumps(document))
    program = shutil.which("docker-registry")
    assert program is not None
    with open(base / "log", "wb") as log:
        server = subprocess.Popen([program, "serve", str(base / "config.yml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (base / "log").read_text()
                time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = tmp_path_factory.mktemp("busybox") / "busybox.tar"
    run(sys.executable, ROOT / "deploy/images/build_busybox.py", archive)
    return archive


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def client(store: ImageStore) -> Registry:
    return Registry(store, RegistrySettings())


def pull(store: ImageStore, name: str) -> Any:
    return client(store).pull(name, progress=lambda *step: None, cancellation=Cancellation())


def push(store: ImageStore, name: str) -> str:
    return client(store).push(name, progress=lambda *step: None, cancellation=Cancellation())


def inspected(name: str) -> Any:
    return json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}"))


@pytest.mark.parametrize("options", [(), ("--format", "oci"), ("--dest-compress-format", "zstd", "--format", "oci")])
def test_what_skopeo_pushes_we_pull(registry: str, busybox: Path, store: ImageStore, options: tuple[str, ...]) -> None:
    name = f"{registry}/skopeo/busybox:{len(options)}"
    run("skopeo", "copy", "--dest-tls-verify=false", *options, f"docker-archive:{busybox}", f"docker://{name}")
    found = pull(store, name)
    assert found.digest == inspected(name)["Digest"]
    root = Path(store.layer_paths(found.image)[-1])
    assert (root / "bin/busybox").stat().st_mode & 0o777 == 0o755


def test_what_we_push_others_pull(registry: str, busybox: Path, store: ImageStore, tmp_path: Path) -> None:
    with busybox.open("rb") as file:
        (image,) = store.import_archive(file)
    name = f"{registry}/ours/busybox:1"
    store.tag(image.id, name)
    digest = push(store, name)
    assert inspected(name)["Digest"] == digest == store.find(name).manifest_digest
    copy = tmp_path / "copy.tar"
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"docker-archive:{copy}:copy:1")
    with copy.open("rb") as file:
        (again,) = ImageStore(tmp_path / "other").import_archive(file)
    assert again.id == image.id and again.layers == image.layers
    with tempfile.TemporaryDirectory(prefix="kp-") as base:  # podman wants a short path
        podman = ("podman", "--root", f"{base}/root", "--runroot", f"{base}/run", "--storage-driver", "vfs")
        assert run(*podman, "pull", "-q", "--tls-verify=false", name).strip() == image.id.removeprefix("sha256:")


def test_a_push_sends_only_what_is_missing_and_takes_the_rest_from_the_neighbour(
    registry: str, busybox: Path, store: ImageStore
) -> None:
    with busybox.open("rb") as file:
        (image,) = store.import_archive(file)
    first, second = f"{registry}/near/one:1", f"{registry}/near/two:1"
    store.tag(image.id, first)
    push(store, first)
    store.tag(image.id, second)
    told: list[str] = []
    client(store).push(second, progress=lambda _, status, *__: told.append(status), cancellation=Cancellation())
    assert "Mounted" in told and "Pushing" not in told
    told.clear()
    client(store).push(first, progress=lambda _, status, *__: told.append(status), cancellation=Cancellation())
    assert set(told) == {"Preparing", "Layer already exists"}


def test_pulled_images_are_exported_digest_by_digest(registry: str, busybox: Path, tmp_path: Path) -> None:
    name = f"{registry}/again/busybox:1"
    run("skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{busybox}", f"docker://{name}")
    first, second = ImageStore(tmp_path / "first"), ImageStore(tmp_path / "second")
    found = pull(first, name)
    first.tag(name, f"{registry}/again/copy:1")
    push(first, f"{registry}/again/copy:1")
    assert pull(second, f"{registry}/again/copy:1").digest == found.digest

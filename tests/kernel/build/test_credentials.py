"""Base images from a registry that asks who one is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from knarr_proto.runtime.v1 import images_pb2
from tests.kernel.build.conftest import Daemon
from tests.kernel.daemon import ROOT
from tests.processes import running

REGISTRY = """
import base64, io, sys, tarfile
sys.path.insert(0, sys.argv[1])
from tests.unit.knarr_runtime.images.fake_registry import FakeRegistry
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    entry = tarfile.TarInfo("file")
    tar.addfile(entry, io.BytesIO())
registry = FakeRegistry()
registry.serve_image(layer.getvalue())
registry.authorization = "Basic " + base64.b64encode(b"anna:secret").decode()
registry.challenge = 'Basic realm="registry"'
print(registry.host, flush=True)
sys.stdin.read()
registry.close()
"""


@pytest.fixture
def registry(daemon: Daemon) -> Iterator[str]:
    """Its address, in the daemon's network namespace."""
    words = ["nsenter", f"--net=/run/netns/{daemon.name}", sys.executable, "-c", REGISTRY, str(ROOT)]
    with running(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


def auth(password: str) -> images_pb2.RegistryAuth:
    return images_pb2.RegistryAuth(username="anna", password=password)


def test_base_images_come_with_the_credentials_of_the_request(daemon: Daemon, registry: str) -> None:
    dockerfile = f"FROM {registry}/team/app:1\nLABEL made=here\n"
    for given in ({}, {registry: auth("wrong")}, {"other.example": auth("secret")}):
        code, said = daemon.fails(dockerfile, auths=given)
        assert code is grpc.StatusCode.PERMISSION_DENIED, said
        assert "wrong" not in said
    assert daemon.build(dockerfile, auths={f"https://{registry}": auth("secret")}).id.startswith("sha256:")


def test_the_command_passes_credentials_on(daemon: Daemon, registry: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {registry}/team/app:1\nLABEL made=here\n")
    words = [sys.executable, "-m", "knarr_runtime", "--socket", str(daemon.socket), "build", "-q", str(tmp_path)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1
    done = subprocess.run([*words, "--creds", f"{registry}=anna:secret"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sha256:")

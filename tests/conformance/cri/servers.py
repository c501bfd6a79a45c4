"""The two runtimes of the suite, each started privately: own network namespace, cgroups, directories, registry.

Loaded by ``conftest.py``. Both answer on a unix socket; nothing of them is left after ``close``.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pyroute2.netns

from knarr_cli.cluster import cgroups
from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc
from tests.slowness import patient

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
ENTER = ROOT / "controlplane/knarr_cli/cluster/enter.py"
REGISTRY_PORT = 5000
REPOSITORY = f"127.0.0.1:{REGISTRY_PORT}/conformance"
POD_CIDR = "10.244.9.0/24"
CLONE_NEWNET = 0x40000000
MNT_DETACH = 2
PATIENCE_S = patient(30.0)
OPTIONS = (("grpc.max_send_message_length", 64 << 20), ("grpc.max_receive_message_length", 64 << 20))


def until(check: Callable[[], T], what: str, *, patience_s: float = PATIENCE_S) -> T:
    """Its first true answer."""
    deadline = time.monotonic() + patience_s
    while not (answer := check()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return answer


class Server:
    """A runtime and its clients. Subclasses say how it is started and how it gets images without a registry."""

    kind = ""
    pod_cidr = POD_CIDR

    def __init__(self, base: Path, archive: Path) -> None:
        self.base = base
        self.archive = archive
        self.name = f"knarr-cri-{secrets.token_hex(3)}"
        self.parents = cgroups.parents()
        self.socket = base / "cri.sock"
        self.processes: list[subprocess.Popen[bytes]] = []
        pyroute2.netns.create(self.name)
        with pyroute2.NetNS(self.name, flags=0) as namespace:
            namespace.link("set", index=1, state="up")
        cgroups.make(self.parents, self.name)

    def run(self, *command: str | Path, log: str) -> None:
        """Start a daemon in the private namespace and cgroups."""
        enter = [sys.executable, "-I", "-S", str(ENTER), f"/run/netns/{self.name}", self.name, json.dumps(self.parents)]
        with open(self.base / log, "ab") as output:
            arguments = [*enter, *(str(word) for word in command)]
            self.processes.append(subprocess.Popen(arguments, stdout=output, stderr=output, start_new_session=True))

    def open(self) -> None:
        self.start()
        self.channel = grpc.insecure_channel(f"unix:{self.socket}", options=OPTIONS)
        self.runtime: Any = api_pb2_grpc.RuntimeServiceStub(self.channel)
        self.images: Any = api_pb2_grpc.ImageServiceStub(self.channel)

        def answers() -> bool:
            with contextlib.suppress(grpc.RpcError):
                return bool(self.runtime.Version(cri.VersionRequest(), timeout=patient(2)).runtime_name)
            return False

        until(answers, f"{self.kind} to serve")
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=POD_CIDR))
        self.runtime.UpdateRuntimeConfig(cri.UpdateRuntimeConfigRequest(runtime_config=config))
        self.import_images()

    def start(self) -> None:
        raise NotImplementedError

    def import_images(self) -> None:
        raise NotImplementedError

    def inside(self, function: Callable[[], T]) -> T:
        """Call on a thread that is in the runtime's network namespace; what it connects stays there."""

        def enter() -> T:
            descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(descriptor)
            return function()

        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(enter).result()

    def connect(self, address: str, port: int) -> socket.socket:
        """A TCP connection from the runtime's host network."""
        return self.inside(lambda: socket.create_connection((address, port), timeout=patient(5)))

    def get(self, address: str, port: int, path: str = "/") -> bytes:
        """The body that a web server gives, as soon as it answers."""

        def attempt() -> bytes:
            with contextlib.suppress(OSError, http.client.HTTPException):
                client = http.client.HTTPConnection(address, port, timeout=patient(5))
                client.sock = self.connect(address, port)
                client.request("GET", path)
                answer = client.getresponse()
                body = answer.read()
                client.close()
                return body if answer.status == 200 else b""
            return b""

        return until(attempt, f"http://{address}:{port}{path}")

    # The registry

    def serve_registry(self) -> None:
        """A registry with all images of the suite at 127.0.0.1:5000 of the runtime."""
        directory = self.base / "registry"
        directory.mkdir()
        configuration = self.base / "registry.json"  # JSON is YAML
        configuration.write_text(
            json.dumps(
                {
                    "version": "0.1",
                    "log": {"level": "warn"},
                    "storage": {"filesystem": {"rootdirectory": str(directory)}},
                    "http": {"addr": f"127.0.0.1:{REGISTRY_PORT}"},
                }
            )
        )
        self.run("/usr/bin/docker-registry", "serve", configuration, log="registry.log")
        until(self._registry_answers, "the registry to serve")
        with tarfile.open(self.archive) as archive:

            def read(name: str) -> bytes:
                file = archive.extractfile(name)
                assert file is not None
                return file.read()

            for described in json.loads(read("index.json"))["manifests"]:
                name = described["annotations"]["io.containerd.image.name"]
                repository, _, tag = name.removeprefix(f"127.0.0.1:{REGISTRY_PORT}/").partition(":")
                manifest = read(f"blobs/sha256/{described['digest'].removeprefix('sha256:')}")
                document = json.loads(manifest)
                for blob in (document["config"], *document["layers"]):
                    self._push_blob(repository, blob["digest"], read(f"blobs/sha256/{blob['digest'][7:]}"))
                self.push_manifest(repository, tag, manifest, document["mediaType"])

    def push_manifest(self, repository: str, tag: str, text: bytes, media_type: str) -> None:
        status, _ = self._request("PUT", f"/v2/{repository}/manifests/{tag}", text, media_type)
        assert status == 201, status

    def manifest(self, digest: str) -> bytes:
        """Of an image of the suite."""
        with tarfile.open(self.archive) as archive:
            file = archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert file is not None
            return file.read()

    def _registry_answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self._request("GET", "/v2/")[0] == 200
        return False

    def _push_blob(self, repository: str, digest: str, data: bytes) -> None:
        if self._request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            return
        status, location = self._request("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, status
        where = location.partition(f":{REGISTRY_PORT}")[2] or location
        status, _ = self._request("PUT", f"{where}&digest={digest}", data, "application/octet-stream")
        assert status == 201, status

    def _request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, str]:
        client = http.client.HTTPConnection("127.0.0.1", REGISTRY_PORT, timeout=patient(10))
        client.sock = self.connect("127.0.0.1", REGISTRY_PORT)
        client.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = client.getresponse()
        answer.read()
        client.close()
        return answer.status, answer.headers.get("Location", "")

    # The end

    def close(self) -> None:
        if hasattr(self, "channel"):
            self.channel.close()
        for process in self.processes[::-1]:
            if self.kind == "containerd":
                process.send_signal(signal.SIGKILL)
        cgroups.kill(self.parents, self.name)
        for process in self.processes:
            process.wait()
        self._unmount()
        cgroups.remove(self.parents, self.name)
        pyroute2.netns.remove(self.name)

    def _unmount(self) -> None:
        """Everything mounted below the base, the innermost first."""
        libc = ctypes.CDLL(None, use_errno=True)
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        for point in reversed([line.split()[4] for line in lines]):
            if point.startswith(f"{self.base}/"):
                libc.umount2(point.encode(), MNT_DETACH)


class Knarr(Server):
    kind = "knarr"

    def start(self) -> None:
        serve = ("serve", "--root", self.base / "root", "--socket", self.socket, "--image-gc-high", "100")
        self.run(sys.executable, "-m", "knarr_runtime", *serve, log="knarr.log")

    def import_images(self) -> None:
        stub: Any = images_pb2_grpc.ImagesStub(self.channel)
        stub.Import(iter([images_pb2.ImportRequest(data=self.archive.read_bytes())]), timeout=PATIENCE_S)


class Containerd(Server):
    """Debian's containerd 1.6 with runc and the reference CNI plugins."""

    kind = "containerd"

    def start(self) -> None:
        configurations = self.base / "cni"
        configurations.mkdir()
        (configurations / "10-bridge.conflist").write_text(json.dumps(self._network()))
        (self.base / "config.toml").write_text(self._config(configurations))
        self.run("/usr/bin/containerd", "--config", self.base / "config.toml", log="containerd.log")

    def _network(self) -> dict[str, Any]:
        ipam = {
            "type": "host-local",
            "dataDir": str(self.base / "addresses"),
            "ranges": [[{"subnet": POD_CIDR}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam}
        portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
        return {"cniVersion": "0.4.0", "name": "conformance", "plugins": [bridge, portmap]}

    def _config(self, cni: Path) -> str:
        plugin = 'plugins."io.containerd.grpc.v1.cri"'
        return f"""
version = 2
root = "{self.base}/root"
state = "{self.base}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{self.socket}"
[{plugin}]
sandbox_image = "{REPOSITORY}/pause:1"
stream_server_address = "127.0.0.1"
stream_server_port = "0"
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
[{plugin}.cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
[{plugin}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[{plugin}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{plugin}.containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
Root = "{self.base}/runc"
"""

    def import_images(self) -> None:
        ctr = shutil.which("ctr")
        assert ctr is not None
        command = [ctr, "--address", self.socket, "--namespace", "k8s.io", "images", "import", self.archive]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        until(self._sees_images, "containerd to list its images")

    def _sees_images(self) -> bool:
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=f"{REPOSITORY}/nothing:1"))
        return bool(self.images.ImageStatus(request).image.id)


KINDS: dict[str, type[Server]] = {"knarr": Knarr, "containerd": Containerd}

"""One suite for two runtimes: ours and containerd, over raw CRI.

``runtime`` is the subject of a test: clients, and builders of requests with sensible defaults. What containerd 1.6
(of CRI of 2022) truly cannot do on this machine is marked ``containerd_lacks("why")`` and must fail there.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.conformance.cri import servers
from tests.slowness import patient

HERE = Path(__file__).resolve().parent
RUNTIMES = os.environ.get("KNARR_TEST_RUNTIMES", "knarr containerd").split()
CALL_S = patient(60)
EXEC_S = round(patient(10))


class Pod:
    """A sandbox made for a test."""

    def __init__(self, identifier: str, config: Any) -> None:
        self.id = identifier
        self.config = config

    @property
    def logs(self) -> Path:
        return Path(self.config.log_directory)


class Subject:
    """A runtime with builders; what they make is removed after the test."""

    def __init__(self, server: Any, base: Path) -> None:
        self.server = server
        self.kind: str = server.kind
        self.runtime: Any = server.runtime
        self.images: Any = server.images
        self.base = base
        self.repository: str = servers.REPOSITORY
        self.until = servers.until
        self.made: list[str] = []
        self.cgroups: list[str] = []

    def image(self, name: str) -> str:
        return f"{self.repository}/{name}"

    # Sandboxes

    def pod_config(self, **more: Any) -> Any:
        """A PodSandboxConfig; ``linux`` and everything else may be given."""
        unique = secrets.token_hex(4)
        linux = more.pop("linux", cri.LinuxPodSandboxConfig())
        if not linux.cgroup_parent:
            linux.cgroup_parent = f"kubepods/pod{unique}"
            self.cgroups.append(linux.cgroup_parent)
        metadata = cri.PodSandboxMetadata(name=f"pod-{unique}", namespace="conformance", uid=f"uid-{unique}")
        metadata.MergeFrom(more.pop("metadata", cri.PodSandboxMetadata()))
        logs = self.base / "logs" / unique
        logs.mkdir(parents=True)
        return cri.PodSandboxConfig(
            metadata=metadata,
            hostname=more.pop("hostname", f"pod-{unique}"),
            log_directory=str(logs),
            linux=linux,
            **more,
        )

    def run_pod(self, config: Any, **more: Any) -> Pod:
        request = cri.RunPodSandboxRequest(config=config, **more)
        pod = Pod(str(self.runtime.RunPodSandbox(request, timeout=CALL_S).pod_sandbox_id), config)
        self.made.append(pod.id)
        return pod

    def pod(self, **more: Any) -> Pod:
        return self.run_pod(self.pod_config(**more))

    def pod_status(self, pod: Pod) -> Any:
        return self.runtime.PodSandboxStatus(cri.PodSandboxStatusRequest(pod_sandbox_id=pod.id)).status

    def stop_pod(self, pod: Pod) -> None:
        self.runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=pod.id), timeout=CALL_S)

    def remove_pod(self, pod: Pod) -> None:
        self.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=pod.id), timeout=CALL_S)

    # Containers

    def container_config(self, *command: str, **more: Any) -> Any:
        name = more.pop("name", f"main-{secrets.token_hex(3)}")
        image = more.pop("image", "busybox:1")
        if isinstance(image, str):
            image = cri.ImageSpec(image=self.image(image))
        return cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name=name, attempt=more.pop("attempt", 0)),
            image=image,
            command=command,
            log_path=more.pop("log_path", f"{name}.log"),
            linux=more.pop("linux", cri.LinuxContainerConfig()),
            **more,
        )

    def create_from(self, pod: Pod, config: Any) -> str:
        request = cri.CreateContainerRequest(pod_sandbox_id=pod.id, config=config, sandbox_config=pod.config)
        return str(self.runtime.CreateContainer(request, timeout=CALL_S).container_id)

    def create(self, pod: Pod, *command: str, **more: Any) -> str:
        return self.create_from(pod, self.container_config(*command, **more))

    def start(self, container: str) -> None:
        self.runtime.StartContainer(cri.StartContainerRequest(container_id=container), timeout=CALL_S)

    def started(self, pod: Pod, *command: str, **more: Any) -> str:
        container = self.create(pod, *command, **more)
        self.start(container)
        return container

    def secure(self, pod: Pod, *command: str, **security: Any) -> str:
        """A started container (that sleeps unless told else) with that security context."""
        context = cri.LinuxContainerSecurityContext(**security)
        linux = cri.LinuxContainerConfig(security_context=context)
        return self.started(pod, *(command or ("sleep", "1000")), linux=linux)

    def sleeper(self, pod: Pod, **more: Any) -> str:
        return self.started(pod, "sleep", "1000", **more)

    def status(self, container: str) -> Any:
        return self.runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=container)).status

    def info(self, container: str) -> Any:
        answer = self.runtime.ContainerStatus(cri.ContainerStatusRequest(container_id=container, verbose=True))
        return json.loads(answer.info["info"])

    def stop(self, container: str, timeout_s: int = 0) -> None:
        self.runtime.StopContainer(cri.StopContainerRequest(container_id=container, timeout=timeout_s), timeout=CALL_S)

    def remove(self, container: str) -> None:
        self.runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=container), timeout=CALL_S)

    def ended(self, container: str) -> Any:
        """Its status, when it has exited."""
        self.until(lambda: self.status(container).state == cri.CONTAINER_EXITED, "the container to exit")
        return self.status(container)

    def execute(self, container: str, *command: str, timeout_s: int = EXEC_S) -> Any:
        request = cri.ExecSyncRequest(container_id=container, cmd=command, timeout=timeout_s)
        return self.runtime.ExecSync(request, timeout=CALL_S)

    def output(self, container: str, *command: str) -> str:
        """Standard output of a command that must succeed."""
        answer = self.execute(container, *command)
        assert answer.exit_code == 0, (answer.exit_code, answer.stdout, answer.stderr)
        return str(answer.stdout.decode())

    def log(self, container: str) -> list[tuple[str, str, str]]:
        """Stream, tag and text of each line so far."""
        path = Path(self.status(container).log_path)
        lines = path.read_text().splitlines() if path.exists() else []
        parts = [line.split(" ", 3) for line in lines]
        return [(part[1], part[2], part[3]) for part in parts]

    def logged(self, container: str, text: str) -> None:
        """Returns when a line of the log is that text."""
        self.until(lambda: any(line[2] == text for line in self.log(container)), f"{text!r} in the log")

    def refused(self, call: Any) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        return caught.value

    def clean(self) -> None:
        there = {item.id for item in self.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items}
        for identifier in [one for one in reversed(self.made) if one in there]:
            self.runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=identifier), timeout=CALL_S)
            self.runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=identifier), timeout=CALL_S)
        for cgroup in self.cgroups:
            with contextlib.suppress(OSError):  # runc leaves one at the top of a hybrid machine's cgroup2
                Path("/sys/fs/cgroup/unified", cgroup).rmdir()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "containerd_lacks(reason): containerd 1.6 fails it on this kind of machine")
    config.addinivalue_line("markers", "knarr_lacks(what): still to be built")
    config.addinivalue_line("markers", "knarr_only: about a promise that is ours alone")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of ours alone are not run on containerd; what it lacks must fail there."""
    for item in [one for one in items if HERE in one.path.parents]:
        kind = getattr(item, "callspec", None) and item.callspec.params.get("server")  # type: ignore[attr-defined]
        lack = item.get_closest_marker("containerd_lacks")
        if kind == "containerd" and lack is not None:
            item.add_marker(pytest.mark.xfail(reason=lack.args[0], strict=True))
        missing = item.get_closest_marker("knarr_lacks")
        if kind == "knarr" and missing is not None:
            item.add_marker(pytest.mark.xfail(reason=missing.args[0], run=False))
    items[:] = [
        one
        for one in items
        if not (
            one.get_closest_marker("knarr_only")
            and getattr(one, "callspec", None)
            and one.callspec.params.get("server") == "containerd"  # type: ignore[attr-defined]
        )
    ]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All images of the suite."""
    target = tmp_path_factory.mktemp("images") / "images.tar"
    subprocess.run([sys.executable, HERE / "make_images.py", target, servers.REPOSITORY], check=True)
    return target


@pytest.fixture(scope="session", params=RUNTIMES)
def server(request: pytest.FixtureRequest, archive: Path) -> Iterator[Any]:
    """On a tmpfs where there is one: containerd syncs all it writes."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    home = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    base = home / f"cri-{secrets.token_hex(3)}"
    base.mkdir(mode=0o711)
    found = servers.KINDS[request.param](base, archive)
    try:
        found.open()
        yield found
    finally:
        found.close()
        shutil.rmtree(base)


@pytest.fixture(scope="session")
def registry(server: Any) -> Any:
    """The server, with a registry of all the images beside it."""
    server.serve_registry()
    return server


@pytest.fixture
def runtime(server: Any, tmp_path: Path) -> Iterator[Subject]:
    subject = Subject(server, tmp_path)
    try:
        yield subject
    finally:
        subject.clean()

"""AppArmor: what confines a container where the kernel has it, and what is said where it has not.

Each test holds on both kinds of kernel; the virtual machine's has AppArmor (docs/testing.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime import apparmor
from knarr_runtime.kernel import lsm

ON = lsm.apparmor_enabled()
LOCALHOST = cri.SecurityProfile(profile_type=cri.Localhost, localhost_ref="knarr-test")
DEFAULT = cri.SecurityProfile(profile_type=cri.RuntimeDefault)
UNCONFINED = cri.SecurityProfile(profile_type=cri.Unconfined)
OWN_LABEL = "cat /proc/self/attr/apparmor/current 2>/dev/null || echo none"


@pytest.fixture
def profile() -> Iterator[None]:
    """The profile knarr-test, loaded where that is possible."""
    text = (
        b"profile knarr-test flags=(attach_disconnected) {\n file,\n signal,\n capability,\n deny /tmp/closed w,\n}\n"
    )
    if ON:
        subprocess.run(["apparmor_parser", "--add", "--skip-cache"], input=text, check=True)
    yield
    if ON:
        subprocess.run(["apparmor_parser", "--remove"], input=text, check=True)


def run(daemon: Any, command: str, **security: Any) -> tuple[str, str]:
    """A container's id, and what the command prints in an exec of it."""
    context = cri.LinuxContainerSecurityContext(**security)
    name = f"main{len(daemon.runtime.ListPodSandbox(cri.ListPodSandboxRequest()).items)}"
    linux = cri.LinuxContainerConfig(security_context=context)
    first = f"({command}) > /tmp/first 2>&1; exec sleep 1000"
    identifier = daemon.container(daemon.sandbox(name), "sh", "-c", first, name=name, linux=linux)
    daemon.start_container(identifier)
    return identifier, said(daemon, identifier, command)


def said(daemon: Any, identifier: str, command: str) -> str:
    """By an exec; the container's first process must have said the same."""
    shell = ["sh", "-c", f"({command}) 2>&1"]
    answer = daemon.runtime.ExecSync(cri.ExecSyncRequest(container_id=identifier, cmd=shell, timeout=30))
    read = ["sh", "-c", "until pidof sleep > /dev/null; do :; done; cat /tmp/first"]
    first = daemon.runtime.ExecSync(cri.ExecSyncRequest(container_id=identifier, cmd=read, timeout=30))
    assert answer.stdout == first.stdout
    return str(answer.stdout.decode().strip())


@pytest.mark.parametrize("given", [{}, {"apparmor": DEFAULT}, {"apparmor_profile": "runtime/default"}])
def test_containers_are_confined_by_default(daemon: Any, given: dict[str, Any]) -> None:
    _, label = run(daemon, OWN_LABEL, **given)
    assert label == (f"{apparmor.NAME} (enforce)" if ON else "none")


@pytest.mark.parametrize("given", [{"apparmor": UNCONFINED}, {"apparmor_profile": "unconfined"}, {"privileged": True}])
def test_unconfined_and_privileged_containers_are_not(daemon: Any, given: dict[str, Any]) -> None:
    _, label = run(daemon, OWN_LABEL, **given)
    assert label == ("unconfined" if ON else "none")


@pytest.mark.parametrize("kind", [DEFAULT, UNCONFINED])
def test_the_default_forbids_what_capabilities_would_allow(daemon: Any, kind: Any) -> None:
    script = (
        "mount -t tmpfs none /mnt 2>/dev/null && umount /mnt && echo mounted; "
        "echo 5 > /proc/sys/net/ipv4/tcp_retries1 && echo sysctl; "
        "echo 1000 > /proc/sys/kernel/shmmni && echo shm; echo 500 > /proc/self/oom_score_adj && echo oom; "
        "echo 1 > /etc/x && ls /proc/$$/root > /dev/null && kill -0 $$ && echo rest"
    )
    security = {
        "apparmor": kind,
        "capabilities": cri.Capability(add_capabilities=["SYS_ADMIN", "SYS_PTRACE"]),
        "seccomp": cri.SecurityProfile(profile_type=cri.Unconfined),
    }
    _, output = run(daemon, f"mkdir -p /mnt; ({script}) 2>/dev/null", **security)
    confined = ON and kind is DEFAULT
    assert output.split() == (["shm", "oom", "rest"] if confined else ["mounted", "sysctl", "shm", "oom", "rest"])


@pytest.mark.parametrize(
    "given", [{"apparmor": LOCALHOST}, {"apparmor_profile": "localhost/knarr-test"}, {"apparmor": LOCALHOST}]
)
def test_a_profile_by_name(daemon: Any, profile: None, given: dict[str, Any]) -> None:
    if not ON:
        refused(daemon, 'profile "knarr-test" can\'t be had: this kernel has no AppArmor', **given)
        return
    identifier, output = run(daemon, f"{OWN_LABEL}; echo > /tmp/open && echo open; echo > /tmp/closed", **given)
    assert output.splitlines()[:2] == ["knarr-test (enforce)", "open"] and "Permission denied" in output
    daemon.runtime.StopContainer(cri.StopContainerRequest(container_id=identifier, timeout=1))
    assert daemon.ended(identifier)


@pytest.mark.parametrize("privileged", [False, True])
def test_a_profile_that_is_not_there_is_refused(daemon: Any, privileged: bool) -> None:
    refused(daemon, "is not loaded" if ON else "no AppArmor", apparmor=LOCALHOST, privileged=privileged)


def test_a_profile_unloaded_before_the_start_fails_it(daemon: Any, profile: None) -> None:
    if not ON:
        return  # there, creating is refused: above
    linux = cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(apparmor=LOCALHOST))
    identifier = daemon.container(daemon.sandbox("a"), "sleep", "1000", linux=linux)
    subprocess.run(["apparmor_parser", "--remove"], input=b"profile knarr-test { }\n", check=True)
    try:
        with pytest.raises(grpc.RpcError) as caught:
            daemon.start_container(identifier)
        assert "apparmor profile knarr-test is not loaded" in caught.value.details()
    finally:
        subprocess.run(["apparmor_parser", "--add", "-K"], input=b"profile knarr-test { }\n", check=True)


@pytest.mark.parametrize("given", ["", "localhost/", "localhost/a b", "mine"])
def test_a_name_must_be_one(daemon: Any, given: str) -> None:
    if given:
        refused(daemon, "apparmor", apparmor_profile=given)
    else:
        refused(daemon, "apparmor", apparmor=cri.SecurityProfile(profile_type=cri.Localhost))


def refused(daemon: Any, message: str, **security: Any) -> None:
    linux = cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(**security))
    sandbox = daemon.sandbox("refused")
    with pytest.raises(grpc.RpcError) as caught:
        daemon.container(sandbox, "true", linux=linux)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in caught.value.details()


def test_status_tells_what_there_is(daemon: Any) -> None:
    config = json.loads(daemon.runtime.Status(cri.StatusRequest(verbose=True)).info["config"])
    assert (config["apparmor"], config["apparmorProfile"]) == (ON, apparmor.NAME if ON else "")
    assert "AppArmor" not in str(config["limits"])
    found = subprocess.run(
        [sys.executable, "-m", "knarr_runtime", "check"], capture_output=True, text=True, check=False
    )
    assert (f"ok    AppArmor, with the profile {apparmor.NAME}" in found.stdout) is ON
    assert ("no AppArmor in this kernel" in found.stdout) is not ON


@pytest.mark.parametrize("over", ["attr/exec", "attr"])
def test_labels_are_written_to_the_kernels_own_file_alone(tmp_path: Path, over: str) -> None:
    """CVE-2019-16884, CVE-2025-52881: something mounted over it would get the label in its place."""
    (tmp_path / "exec").touch()
    fake = tmp_path / "exec" if over == "attr/exec" else tmp_path
    script = f"mount --bind {fake} /proc/$$/{over} && exec {sys.executable} -c '{_OPEN}'"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Invalid cross-device link\n"


_OPEN = """
from knarr_runtime.kernel import lsm
try:
    lsm.open_exec_label(("exec",))
except OSError as error:
    print(error.strerror)
"""

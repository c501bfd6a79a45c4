"""SELinux: labels of programs and files where the kernel has it, and options that are taken where it has not.

``./dev vm --boot security=selinux -- python3 -m pytest tests/kernel/cri/test_selinux.py`` has such a kernel; its policy
is made here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.kernel import lsm

SELINUX = Path("/sys/fs/selinux")
ON = (SELINUX / "enforce").exists()
INITIAL = (
    *("kernel", "security", "unlabeled", "fs", "file", "file_labels", "init", "any_socket", "port", "netif", "netmsg"),
    *("node", "igmp_packet", "icmp_socket", "tcp_socket", "sysctl_modprobe", "sysctl", "sysctl_fs", "sysctl_kernel"),
    *("sysctl_net", "sysctl_net_unix", "sysctl_vm", "sysctl_dev", "kmod", "policy", "scmp_packet", "devnull"),
)
"""What the kernel knows by number, in that order. Source: Linux security/selinux/include/initial_sid_to_string.h."""
FILES = ("file", "lnk_file", "chr_file", "blk_file", "sock_file", "fifo_file")
POLICY = f"""
class process
{" ".join(f"class {name}" for name in FILES)}
class dir
class filesystem
{" ".join(f"sid {name}" for name in INITIAL)}
class process {{ transition dyntransition }}
{" ".join(f"class {name} {{ read }}" for name in FILES)}
class dir {{ search }}
class filesystem {{ mount }}
sensitivity s0;
dominance {{ s0 }}
category c0; category c1; category c2;
level s0:c0.c2;
mlsconstrain process transition ( h1 dom h2 );
type kernel_t;
type container_t;
type container_file_t;
type other_t;
role system_r;
role system_r types {{ kernel_t container_t container_file_t other_t }};
allow kernel_t container_t : process transition;
user system_u roles {{ system_r }} level s0 range s0 - s0:c0.c2;
{" ".join(f"sid {name} system_u:system_r:kernel_t:s0" for name in INITIAL)}
fs_use_trans tmpfs system_u:object_r:kernel_t:s0;
fs_use_trans mqueue system_u:object_r:kernel_t:s0;
genfscon proc / system_u:object_r:kernel_t:s0
"""


@pytest.fixture(scope="session", autouse=True)
def policy(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Loaded once in a machine; nothing is enforced, so that the machine goes on."""
    if not ON or lsm.selinux_enabled():
        return
    directory = tmp_path_factory.mktemp("policy")
    (directory / "policy.conf").write_text(POLICY)
    command = ["checkpolicy", "-M", "-U", "allow", "-o", str(directory / "policy"), str(directory / "policy.conf")]
    subprocess.run(command, check=True)
    (SELINUX / "enforce").write_text("0")
    (SELINUX / "load").write_bytes((directory / "policy").read_bytes())
    assert lsm.selinux_enabled()


def started(daemon: Any, name: str, of_pod: Any = None, mounts: Any = (), **security: Any) -> tuple[str, int]:
    """A container that sleeps, and its pid."""
    sandbox = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=name, namespace="default", uid=f"uid-{name}"),
        hostname=name,
        log_directory=str(daemon.base / "logs" / name),
        linux=cri.LinuxPodSandboxConfig(cgroup_parent=f"kubepods/pod{name}"),
    )
    if of_pod is not None:
        sandbox.linux.security_context.selinux_options.CopyFrom(of_pod)
    identifier = daemon.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=sandbox)).pod_sandbox_id
    linux = cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(**security))
    container = daemon.container((identifier, sandbox), "sleep", "1000", name=name, linux=linux, mounts=mounts)
    daemon.start_container(container)
    return container, daemon.pid(container)


def label_of(pid: int) -> str:
    return Path(f"/proc/{pid}/attr/current").read_text().rstrip("\0\n") if ON else ""


def label_at(pid: int, path: str) -> str:
    if not ON:
        return ""
    return os.getxattr(f"/proc/{pid}/root{path}", "security.selinux").rstrip(b"\0").decode()


@pytest.fixture
def volume(daemon: Any) -> Iterator[Path]:
    directory = daemon.base / "volume"
    (directory / "inner").mkdir(parents=True)
    (directory / "inner/link").symlink_to("/etc")
    (directory / "inner/file").touch()
    yield directory


def test_programs_and_files_get_the_labels_asked_for(daemon: Any, volume: Path) -> None:
    options = cri.SELinuxOption(type="other_t", level="s0:c1,c2")
    mounts = [
        cri.Mount(container_path="/volume", host_path=str(volume), selinux_relabel=True),
        cri.Mount(container_path="/as-it-is", host_path=str(daemon.base)),
    ]
    container, pid = started(daemon, "a", options, mounts, selinux_options=options)
    assert label_of(pid) == ("system_u:system_r:other_t:s0:c1,c2" if ON else "")
    of_files = "system_u:object_r:container_file_t:s0:c1,c2" if ON else ""
    for path in ("/bin/sh", "/etc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/volume", "/volume/inner/file"):
        assert label_at(pid, path) == of_files, path
    if ON:
        assert label_at(pid, "/as-it-is") != of_files
        said = daemon.runtime.ExecSync(
            cri.ExecSyncRequest(container_id=container, cmd=["cat", "/proc/self/attr/current"], timeout=30)
        )
        assert said.stdout.rstrip(b"\0\n").decode() == label_of(pid)


def test_without_options_nothing_is_labelled(daemon: Any) -> None:
    _, pid = started(daemon, "a")
    assert label_of(pid) == label_of(os.getpid())


def test_a_container_has_its_sandboxes_labels_where_it_asks_for_none(daemon: Any) -> None:
    _, pid = started(daemon, "a", cri.SELinuxOption(level="s0:c1"))
    assert label_of(pid) == ("system_u:system_r:container_t:s0:c1" if ON else "")


def test_a_privileged_program_keeps_the_runtimes_label(daemon: Any) -> None:
    options = cri.SELinuxOption(level="s0:c1")
    _, pid = started(daemon, "a", selinux_options=options, privileged=True)
    assert label_of(pid) == label_of(os.getpid())
    assert label_at(pid, "/etc") == ("system_u:object_r:container_file_t:s0:c1" if ON else "")


@pytest.mark.parametrize(
    ("options", "message", "everywhere"),
    [
        (cri.SELinuxOption(level="high"), 'selinux_options.level: the format of "high" is not correct', True),
        (cri.SELinuxOption(type="a b"), 'selinux_options.type: "a b" is no word', True),
        (cri.SELinuxOption(type="strange_t"), "strange_t:s0 is no label of the policy that is loaded", False),
    ],
)
def test_what_is_no_label_is_refused(daemon: Any, options: Any, message: str, everywhere: bool) -> None:
    if not everywhere and not ON:
        started(daemon, "a", selinux_options=options)
        return
    with pytest.raises(grpc.RpcError) as caught:
        started(daemon, "a", selinux_options=options)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert message in caught.value.details()


def test_directories_of_the_machine_are_not_relabelled(daemon: Any) -> None:
    options = cri.SELinuxOption(level="s0:c1")
    mounts = [cri.Mount(container_path="/host", host_path="/usr/", readonly=True, selinux_relabel=True)]
    if not ON:
        started(daemon, "a", options, mounts, selinux_options=options)
        return
    with pytest.raises(grpc.RpcError) as caught:
        started(daemon, "a", options, mounts, selinux_options=options)
    assert "/usr belongs to the machine: it is not relabelled for a container" in caught.value.details()

"""Pods with a user namespace of their own (``hostUsers: false``): root inside, nobody outside."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.kernel.mounts import owners_map

pytestmark = [
    pytest.mark.knarr_only,  # containerd has them from 1.7 on, and ignores the fields before
    pytest.mark.skipif(not owners_map(), reason="before Linux 6.3 they are refused: test_security"),
]

BASE = 262_144
LENGTH = 65_536


def mapping(base: int = BASE) -> list[Any]:
    return [cri.IDMapping(host_id=base, container_id=0, length=LENGTH)]


class Users:
    """A pod in a user namespace, and how its containers are made."""

    def __init__(self, runtime: Any, **more: Any) -> None:
        self.runtime = runtime
        users = cri.UserNamespace(mode=cri.POD, uids=mapping(), gids=mapping())
        self.options = cri.NamespaceOption(pid=more.pop("pid", cri.CONTAINER), userns_options=users)
        security = cri.LinuxSandboxSecurityContext(namespace_options=self.options)
        linux = cri.LinuxPodSandboxConfig(security_context=security, sysctls=more.pop("sysctls", {}))
        self.pod = runtime.pod(linux=linux, **more)

    def container(self, *command: str, **more: Any) -> str:
        security = cri.LinuxContainerSecurityContext(namespace_options=self.options, **more.pop("security", {}))
        linux = cri.LinuxContainerConfig(security_context=security)
        return str(self.runtime.started(self.pod, *(command or ("sleep", "1000")), linux=linux, **more))

    def process(self, container: str) -> Path:
        return Path(f"/proc/{self.runtime.info(container)['pid']}")


@pytest.fixture
def users(runtime: Any) -> Users:
    return Users(runtime)


@pytest.mark.parametrize("pid", [cri.CONTAINER, cri.POD])
def test_every_namespace_is_the_user_namespaces(runtime: Any, pid: Any) -> None:
    users = Users(runtime, pid=pid)
    process = users.process(users.container())
    owner = os.stat(process / "ns/user").st_ino
    assert owner != os.stat("/proc/self/ns/user").st_ino
    for name in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert owner_of(process / "ns" / name) == owner, name


def owner_of(namespace: Path) -> int:
    """The user namespace a namespace belongs to. Source: ioctl_ns(2), NS_GET_USERNS."""
    with open(namespace, "rb") as file:
        owner = fcntl.ioctl(file, 0xB701)
    try:
        return os.fstat(owner).st_ino
    finally:
        os.close(owner)


def test_the_mapping_is_as_asked(users: Users) -> None:
    process = users.process(users.container())
    for name in ("uid_map", "gid_map"):
        assert (process / name).read_text().split() == ["0", str(BASE), str(LENGTH)]
    assert process.stat().st_uid == BASE


def test_two_containers_share_it(users: Users) -> None:
    first, second = (os.readlink(users.process(users.container()) / "ns/user") for _ in range(2))
    assert first == second


def test_a_user_of_the_image_is_shifted(users: Users) -> None:
    container = users.container(security={"run_as_user": cri.Int64Value(value=1000)})
    status = (users.process(container) / "status").read_text()
    assert f"Uid:\t{BASE + 1000}\t" in status
    assert users.runtime.output(container, "id", "-u") == "1000\n"


def test_a_user_without_mapping_is_refused(users: Users) -> None:
    error = users.runtime.refused(lambda: users.container(security={"run_as_user": cri.Int64Value(value=LENGTH + 5)}))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(LENGTH + 5) in error.details()


def test_files_of_the_image_belong_to_its_users(users: Users) -> None:
    container = users.container()
    paths = ("/", "/bin", "/etc/hosts", "/dev", "/dev/null", "/dev/shm", "/dev/pts", "/proc/1")
    owners = users.runtime.output(container, "stat", "-c", "%n %u:%g", *paths).splitlines()
    assert owners == [f"{path} 0:0" for path in paths]


def test_files_can_be_made_changed_and_given_away(users: Users) -> None:
    container = users.container()
    script = "touch /new && chown 1000:1000 /new && chmod 4711 /new && rm /bin/nc && stat -c %u:%g:%a /new && rm /new"
    assert users.runtime.output(container, "sh", "-c", script) == "1000:1000:4711\n"


def test_an_exec_is_root_inside_only(users: Users) -> None:
    container = users.container()
    assert users.runtime.output(container, "sh", "-c", "id -u; cat /proc/self/uid_map").split()[:3] == [
        *("0", "0", str(BASE)),
    ]


def test_capabilities_are_the_defaults_and_worthless_outside(users: Users) -> None:
    container = users.container()
    for command in (("cat", "/proc/1/status"), ("cat", "/proc/self/status")):
        lines = dict(
            line.split(":\t") for line in users.runtime.output(container, *command).splitlines() if ":\t" in line
        )
        assert lines["CapEff"] == lines["CapBnd"] == "00000000a80425fb"
    answer = users.runtime.execute(container, "mknod", "/null", "c", "1", "3")
    assert answer.exit_code != 0


def test_with_sys_admin_it_may_mount_in_its_own_namespaces_only(users: Users) -> None:
    capability = cri.Capability(add_capabilities=["SYS_ADMIN"])
    unconfined = cri.SecurityProfile(profile_type=cri.Unconfined)
    container = users.container(security={"capabilities": capability, "seccomp": unconfined})
    script = "mount -t tmpfs none /mnt && touch /mnt/x && mount -t proc none /mnt && ls -d /mnt/1 && hostname changed"
    users.runtime.output(container, "sh", "-c", f"mkdir -p /mnt && {script}")
    for attempt in ("umount /proc/keys", "mount -o remount,rw /proc/sys", "echo 1 > /proc/sys/vm/drop_caches"):
        assert users.runtime.execute(container, "sh", "-c", attempt).exit_code != 0, attempt


def test_a_privileged_container_is_no_root_outside(users: Users, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret"
    secret.write_text("host")
    secret.chmod(0o600)
    mount = cri.Mount(host_path=str(tmp_path), container_path="/host")
    container = users.container(security={"privileged": True}, mounts=[mount])
    assert users.runtime.execute(container, "cat", "/host/secret").exit_code != 0
    assert users.runtime.output(container, "stat", "-c", "%u", "/host/secret") == "65534\n"


def test_a_mapped_volume_belongs_to_the_containers_users(users: Users, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("data")
    (tmp_path / "old").chmod(0o600)
    mount = cri.Mount(host_path=str(tmp_path), container_path="/data", uidMappings=mapping(), gidMappings=mapping())
    container = users.container(mounts=[mount])
    script = "cat /data/old; touch /data/new; chown 7:8 /data/new; stat -c %u:%g /data/new"
    assert users.runtime.output(container, "sh", "-c", script) == "data7:8\n"
    made = (tmp_path / "new").stat()
    assert (made.st_uid, made.st_gid) == (7, 8)


def test_a_volume_mapped_otherwise_is_refused(users: Users, tmp_path: Path) -> None:
    other = mapping(BASE * 2)
    mount = cri.Mount(host_path=str(tmp_path), container_path="/data", uidMappings=other, gidMappings=other)
    error = users.runtime.refused(lambda: users.container(mounts=[mount]))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "/data" in error.details()


def test_mappings_of_a_volume_need_a_user_namespace(runtime: Any, tmp_path: Path) -> None:
    mount = cri.Mount(host_path=str(tmp_path), container_path="/data", uidMappings=mapping(), gidMappings=mapping())
    error = runtime.refused(lambda: runtime.sleeper(runtime.pod(), mounts=[mount]))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_hostname_and_sysctls_are_set(runtime: Any) -> None:
    users = Users(runtime, hostname="inside", sysctls={"net.ipv4.ip_unprivileged_port_start": "81"})
    container = users.container()
    script = "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    assert runtime.output(container, "sh", "-c", script) == "inside\n81\n"


def test_it_is_reached_by_its_address_and_binds_low_ports(users: Users) -> None:
    container = users.container("sh", "-c", "echo ready; exec nc -l -p 80 -e echo hello")
    users.runtime.logged(container, "ready")
    address = users.runtime.pod_status(users.pod).network.ip
    other = users.runtime.sleeper(users.runtime.pod())
    users.runtime.until(
        lambda: users.runtime.execute(other, "nc", "-w", "2", address, "80").stdout == b"hello\n", "the answer"
    )


def test_shared_memory_is_the_pods(users: Users) -> None:
    first, second = users.container(), users.container()
    users.runtime.output(first, "sh", "-c", "echo here > /dev/shm/x")
    assert users.runtime.output(second, "cat", "/dev/shm/x") == "here\n"


def test_processes_of_one_pod_see_each_other(runtime: Any) -> None:
    users = Users(runtime, pid=cri.POD)
    first = users.container("sleep", "1234")
    second = users.container("tail", "-f", "/dev/null")
    assert "sleep\x001234" in runtime.output(second, "sh", "-c", "cat /proc/[0-9]*/cmdline")
    runtime.output(second, "sh", "-c", "kill -9 $(pidof sleep)")
    assert runtime.ended(first).exit_code == 137


def test_exit_codes_and_logs_come_as_ever(users: Users) -> None:
    container = users.container("sh", "-c", "echo out; echo err >&2; exit 42")
    assert users.runtime.ended(container).exit_code == 42
    assert sorted(line[2] for line in users.runtime.log(container)) == ["err", "out"]


def test_a_missing_program_is_told_as_ever(users: Users) -> None:
    error = users.runtime.refused(lambda: users.container("/no/such/program"))
    assert "no such file" in error.details()


def test_a_terminal_works(users: Users) -> None:
    container = users.container("sh", "-c", "tty; stat -c %u $(tty); sleep 1000", tty=True)
    users.runtime.logged(container, "0")
    users.runtime.logged(container, "/dev/pts/0")


def test_standard_output_can_be_opened_by_its_user(users: Users) -> None:
    container = users.container(
        "sh", "-c", "echo again > /dev/stdout", security={"run_as_user": cri.Int64Value(value=1000)}
    )
    users.runtime.ended(container)
    users.runtime.logged(container, "again")


def test_devices_are_made_for_it(users: Users) -> None:
    device = cri.Device(host_path="/dev/null", container_path="/dev/other-null", permissions="rwm")
    container = users.container(devices=[device])
    users.runtime.output(container, "sh", "-c", "echo x > /dev/other-null && echo x > /dev/null")


@pytest.mark.parametrize("host", ["network", "pid", "ipc"])
def test_it_does_not_go_with_the_hosts_namespaces(runtime: Any, host: str) -> None:
    users = cri.UserNamespace(mode=cri.POD, uids=mapping(), gids=mapping())
    options = cri.NamespaceOption(userns_options=users, **{host: cri.NODE})
    security = cri.LinuxSandboxSecurityContext(namespace_options=options)
    config = runtime.pod_config(linux=cri.LinuxPodSandboxConfig(security_context=security))
    assert runtime.refused(lambda: runtime.run_pod(config)).code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "given",
    [
        cri.UserNamespace(mode=cri.POD),
        cri.UserNamespace(mode=cri.POD, uids=mapping()),
        cri.UserNamespace(
            mode=cri.POD,
            uids=[*mapping(), cri.IDMapping(host_id=BASE * 2, container_id=LENGTH, length=1)],
            gids=[*mapping(), cri.IDMapping(host_id=BASE * 2, container_id=LENGTH, length=1)],
        ),
        cri.UserNamespace(mode=cri.TARGET, uids=mapping(), gids=mapping()),
        cri.UserNamespace(mode=cri.NODE, uids=mapping(), gids=mapping()),
        cri.UserNamespace(mode=cri.CONTAINER, uids=mapping(), gids=mapping()),
        cri.UserNamespace(
            mode=cri.POD,
            uids=[cri.IDMapping(host_id=1000, container_id=1, length=5)],
            gids=[cri.IDMapping(host_id=1000, container_id=1, length=5)],
        ),
        cri.UserNamespace(
            mode=cri.POD,
            uids=[cri.IDMapping(host_id=2**32 - 1, container_id=0, length=65536)],
            gids=mapping(),
        ),
    ],
    ids=[
        "no mappings",
        "no gids",
        "two of each",
        "TARGET",
        "NODE with mappings",
        "CONTAINER",
        "no root",
        "beyond the last id",
    ],
)
def test_mappings_that_make_no_sense_are_refused(runtime: Any, given: Any) -> None:
    options = cri.NamespaceOption(userns_options=given)
    security = cri.LinuxSandboxSecurityContext(namespace_options=options)
    config = runtime.pod_config(linux=cri.LinuxPodSandboxConfig(security_context=security))
    error = runtime.refused(lambda: runtime.run_pod(config))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT

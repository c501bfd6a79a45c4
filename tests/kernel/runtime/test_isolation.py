"""What a container sees of the machine, and what it must not."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from knarr_runtime.errors import Invalid, StartFailed, WrongState
from knarr_runtime.kernel import mounts, syscalls
from knarr_runtime.kernel.cgroup import discover
from knarr_runtime.spec import Capabilities, Device, Mount, Namespaces, NetworkConfig, Resources, Rlimit, Rootfs, User

if TYPE_CHECKING:
    from conftest import Runtime

_KINDS = ("pid", "mnt", "uts", "ipc", "net", "cgroup")


@pytest.fixture
def shared_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A mount of the host that passes on what happens to it, as all do where systemd runs."""
    point = tmp_path_factory.mktemp("shared")
    syscalls.mount("test", str(point), "tmpfs", 0)
    try:
        syscalls.mount("", str(point), "", syscalls.MS_SHARED)
        yield point
    finally:
        with contextlib.suppress(OSError):
            syscalls.umount(str(point))


async def test_mounts_of_the_host_outlive_containers(shared_mount: Path, pod: Runtime) -> None:
    await pod.shell("true")
    assert str(shared_mount) in mounts.mount_points()


async def test_container_has_its_own_namespaces_and_is_pid_1(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    pid = pod.value(identifier).pid
    for kind in _KINDS:
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    result = await pod.launcher.exec(identifier, ["sh", "-c", "hostname; cat /proc/1/cmdline; ls -d /proc/[0-9]*"])
    assert result.stdout.decode().startswith("pod\nsleep\x00100\x00")
    assert b"/proc/1\n" in result.stdout
    assert len([word for word in result.stdout.split() if word.startswith(b"/proc/")]) <= 3


async def test_containers_of_a_pod_share_net_ipc_uts_and_shm_but_not_pids(pod: Runtime) -> None:
    first, second = await pod.begin("sleep", "100"), await pod.begin("sleep", "100")
    for kind in ("net", "ipc", "uts"):
        links = {os.readlink(f"/proc/{pod.value(one).pid}/ns/{kind}") for one in (first, second)}
        assert len(links) == 1, kind
    for kind in ("pid", "mnt", "cgroup"):
        links = {os.readlink(f"/proc/{pod.value(one).pid}/ns/{kind}") for one in (first, second)}
        assert len(links) == 2, kind
    await pod.launcher.exec(first, ["sh", "-c", "echo shared > /dev/shm/x"])
    assert (await pod.launcher.exec(second, ["cat", "/dev/shm/x"])).stdout == b"shared\n"


async def test_host_namespaces_are_shared_where_asked_for(runtime: Runtime) -> None:
    await runtime.sandbox("pod", hostname="", namespaces=Namespaces(net="host", ipc="host", pid="host"))
    identifier = await runtime.begin("sleep", "100")
    pid = runtime.value(identifier).pid
    for kind in ("pid", "uts", "ipc", "net"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}"), kind
    result = await runtime.launcher.exec(identifier, ["sh", "-c", "echo $$"])
    assert int(result.stdout) > 1


async def test_shared_pid_namespace_has_pause_as_pid_1_and_hides_the_host(runtime: Runtime) -> None:
    await runtime.sandbox("pod", namespaces=Namespaces(pid="pod"))
    first = await runtime.begin("sleep", "100")
    script = "cat /proc/1/comm; ps | grep -c 'sleep 10[0]'; ls /proc/1/root /proc/1/fd"
    _, output = await runtime.shell(script, capabilities=Capabilities())
    assert output.startswith("pause\n1\n")
    assert "Permission denied" in output
    assert "sleep" in (await runtime.launcher.exec(first, ["ps"])).stdout.decode()


async def test_processes_left_behind_in_a_shared_pid_namespace_are_killed(runtime: Runtime) -> None:
    await runtime.sandbox("pod", namespaces=Namespaces(pid="pod"))
    watcher = await runtime.begin("sleep", "100")
    ended, _ = await runtime.shell("sleep 54321 & exit 4")
    assert ended.exit_code == 4
    async with asyncio.timeout(30):
        while b"54321" in (await runtime.launcher.exec(watcher, ["ps"])).stdout:
            continue  # killed, but may still be dying


async def test_default_capabilities_and_no_new_privileges(pod: Runtime) -> None:
    _, output = await pod.run("cat", "/proc/1/status")
    status = dict(line.split(":\t", 1) for line in output.splitlines() if ":\t" in line)
    assert status["CapBnd"] == status["CapPrm"] == status["CapEff"] == "00000000a80425fb"
    assert status["CapInh"] == status["CapAmb"] == "0000000000000000"
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert {"SigBlk", "SigIgn"} <= status.keys()
    assert int(status["SigBlk"], 16) == int(status["SigIgn"], 16) == 0


async def test_user_without_root_has_no_capabilities(pod: Runtime) -> None:
    user = User(uid=1000, gid=1000, groups=(7, 8))
    script = "id; echo $HOME; grep CapEff /proc/self/status; touch /x; echo ok > /dev/stdout"
    _, output = await pod.shell(script, user=user)
    assert "uid=1000(user) gid=1000(user) groups=7,8" in output
    assert "/home/user\n" in output
    assert "CapEff:\t0000000000000000" in output
    assert "Permission denied" in output
    assert "\nok\n" in output


async def test_ambient_capabilities_reach_a_user_without_root(pod: Runtime) -> None:
    one = ("CAP_NET_BIND_SERVICE",)
    sets = Capabilities(bounding=one, effective=one, permitted=one, inheritable=one, ambient=one)
    _, output = await pod.run("cat", "/proc/self/status", user=User(uid=1000, gid=1000), capabilities=sets)
    assert "CapEff:\t0000000000000400" in output


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "unshare -U true",
        "unshare -n true",
        "swapon /etc/passwd",
        "hostname other",
        "date -s '2020-01-01 00:00:00' | grep nothing",
        "insmod /etc/passwd",
        "nsenter -t 1 -n true",
        "reboot -f",
        "pivot_root /tmp /tmp",
    ],
)
async def test_refused_by_the_default_filter_even_with_capabilities(pod: Runtime, command: str) -> None:
    _, output = await pod.shell(f"{command} 2>&1; echo code $?")
    assert "code 0" not in output
    assert "not permitted" in output.lower() or "permission denied" in output.lower(), output


async def test_unconfined_filter_is_off(pod: Runtime) -> None:
    _, output = await pod.run("cat", "/proc/self/status", seccomp="unconfined")
    assert "Seccomp:\t0" in output


async def test_json_profile_is_applied(pod: Runtime, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":'
        ' [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}'
    )
    _, output = await pod.shell("mkdir /tmp/a; mkdir /tmp/b || echo refused", seccomp=str(profile))
    assert output.count("Permission denied") == 2
    assert "refused" in output


async def test_masked_and_readonly_paths(pod: Runtime) -> None:
    script = (
        "cat /proc/timer_list /proc/keys /proc/kcore | wc -c; ls /sys/firmware | wc -l;"
        " echo 1 > /proc/sys/vm/swappiness; echo x > /proc/sysrq-trigger; touch /sys/x"
    )
    _, output = await pod.shell(script)
    assert output.splitlines()[:2] == ["0", "0"] or "No such file" in output
    assert output.count("Read-only file system") >= 2
    assert "nonexistent directory" in output or output.count("Read-only file system") == 3


async def test_image_symlinks_cannot_redirect_mounts(runtime: Runtime, lower: Path, tmp_path: Path) -> None:
    """CVE-2021-30465, CVE-2022-23648: a volume's target is a symbolic link out of the root."""
    victim, hostile, volume = tmp_path / "victim", tmp_path / "hostile", tmp_path / "volume"
    for directory in (victim, hostile, volume):
        directory.mkdir()
    (volume / "file").write_text("from the volume\n")
    (hostile / "data").symlink_to(f"/../../../../..{victim}")
    (hostile / "up").symlink_to("../../../../../../etc")
    rootfs = Rootfs(lower=(str(hostile), str(lower)), upper=str(tmp_path / "u"), work=str(tmp_path / "w"))
    await runtime.sandbox()
    mounts = (Mount(source=str(volume), target="/data/sub"), Mount(source=str(volume), target="/up/knarr-test"))
    _, output = await runtime.shell("cat /data/sub/file /etc/knarr-test/file", rootfs=rootfs, mounts=mounts)
    assert output == "from the volume\n" * 2
    assert not list(victim.iterdir())
    assert not Path("/etc/knarr-test").exists()


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
async def test_image_that_replaces_a_system_directory_by_a_link_is_refused(
    runtime: Runtime, lower: Path, tmp_path: Path, name: str
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / name).symlink_to("/tmp")
    await runtime.sandbox()
    rootfs = Rootfs(lower=(str(hostile), str(lower)), upper=str(tmp_path / "u"), work=str(tmp_path / "w"))
    with pytest.raises(StartFailed, match=f"/{name} of the image is not a directory"):
        await runtime.run("true", rootfs=rootfs)


async def test_volumes_readonly_files_and_tmpfs(pod: Runtime, tmp_path: Path) -> None:
    source, file = tmp_path / "source", tmp_path / "file"
    source.mkdir()
    file.write_text("content\n")
    mounts = (
        Mount(source=str(source), target="/rw"),
        Mount(source=str(source), target="/ro", readonly=True),
        Mount(source=str(file), target="/etc/deep/config", readonly=True),
        Mount(target="/scratch", kind="tmpfs", options="size=1m,mode=1777"),
    )
    script = "echo x > /rw/y; cat /ro/y; touch /ro/z; cat /etc/deep/config; dd if=/dev/zero of=/scratch/f bs=1M count=2"
    _, output = await pod.shell(script, mounts=mounts)
    assert (source / "y").read_text() == "x\n"
    lines = output.splitlines()  # of two streams, whose order is not told
    assert {"x", "content", "touch: /ro/z: Read-only file system"} <= set(lines)
    assert "No space left" in output


async def test_missing_volume_source_is_said_and_leaves_nothing(pod: Runtime) -> None:
    with pytest.raises(StartFailed, match="source /nowhere/at-all does not exist"):
        await pod.run("true", mounts=(Mount(source="/nowhere/at-all", target="/x"),))
    assert pod.value("c1").exit is not None


async def test_readonly_root(pod: Runtime, lower: Path, tmp_path: Path) -> None:
    rootfs = Rootfs(lower=(str(lower),), upper=str(tmp_path / "u"), work=str(tmp_path / "w"), readonly=True)
    _, output = await pod.shell("touch /x; touch /dev/shm/y && echo shm", rootfs=rootfs)
    assert sorted(output.splitlines()) == ["shm", "touch: /x: Read-only file system"]


async def test_only_standard_streams_are_open(pod: Runtime) -> None:
    """CVE-2024-21626: nothing of the runtime's descriptors or directories reaches the program."""
    identifier = await pod.begin("sleep", "100")
    pid = pod.value(identifier).pid
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    result = await pod.launcher.exec(identifier, ["sh", "-c", "ls /proc/self/fd; pwd -P"])
    assert result.stdout == b"0\n1\n2\n3\n/\n"  # 3 is ls reading the directory


@pytest.mark.parametrize("number", range(3, 12))
async def test_working_directory_in_a_descriptor_is_refused(pod: Runtime, number: int) -> None:
    try:
        ended, output = await pod.shell("cat ../../../etc/hostname; pwd", cwd=f"/proc/self/fd/{number}")
    except StartFailed:
        return
    assert ended.exit_code != 0 or Path("/etc/hostname").read_text() not in output


async def test_runtime_cannot_be_reached_through_an_exec(pod: Runtime) -> None:
    """CVE-2019-5736, CVE-2016-9962: between joining and execve nobody inside may open or trace the process."""
    spy = "for i in $(seq 20); do for p in /proc/[0-9]*; do readlink $p/exe; done; done | grep -c python"
    identifier = await pod.begin("sh", "-c", spy)
    for _ in range(20):
        with contextlib.suppress(WrongState, StartFailed):  # the spy may have ended
            await pod.launcher.exec(identifier, ["true"])
    await pod.written(identifier)
    assert pod.output(identifier) == "0\n"


async def test_devices_are_made_and_others_are_refused(pod: Runtime) -> None:
    script = "head -c 3 /dev/zero | wc -c; ls -l /dev/mine | cut -c1; mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk"
    _, output = await pod.shell(script, devices=(Device(source="/dev/zero", target="/dev/dir/../mine"),))
    lines = output.splitlines()
    assert lines[:2] == ["3", "c"]
    assert "not permitted" in lines[2] or "such device" in lines[2]


async def test_privileged_sees_devices_and_writes_sys(pod: Runtime) -> None:
    script = "test -e /dev/kmsg && echo kmsg; grep -c ' /sys sysfs rw' /proc/mounts; grep Seccomp: /proc/self/status"
    _, output = await pod.shell(script, privileged=True, no_new_privs=False)
    assert "Seccomp:\t0" in output
    assert "1\n" in output


async def test_rlimits_cwd_environment_and_umask(pod: Runtime) -> None:
    _, output = await pod.shell(
        "ulimit -n; pwd; echo $A-$B; umask; echo $PATH",
        rlimits=(Rlimit(name="RLIMIT_NOFILE", soft=77, hard=99),),
        cwd="/new/deep",
        env=("A=1", "B=x=y"),
    )
    assert output.splitlines()[:4] == ["77", "/new/deep", "1-x=y", "0022"]


async def test_hostname_sysctls_and_loopback(runtime: Runtime) -> None:
    await runtime.sandbox("pod", sysctls={"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shm_rmid_forced": "1"})
    await runtime.launcher.configure_network("pod", NetworkConfig())
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced; ip addr show lo"
    _, output = await runtime.shell(script)
    assert output.startswith("0\n1\n")
    assert "127.0.0.1/8" in output


@pytest.mark.parametrize(
    "name", ["kernel.panic", "vm.swappiness", "net.ipv4/../../kernel.panic", "kernel.shm_rmid_forced+1", "net..x", ""]
)
async def test_unsafe_sysctl_is_refused(runtime: Runtime, name: str) -> None:
    with pytest.raises(Invalid):
        await runtime.sandbox("pod", sysctls={name: "1"})
    assert not runtime.launcher.sandboxes()


async def test_many_layers(runtime: Runtime, lower: Path, tmp_path: Path) -> None:
    layers = []
    for number in range(120):
        layer = tmp_path / f"layer-with-a-rather-long-name-{number:04}"
        layer.mkdir()
        (layer / f"file-{number}").write_text("x")
        layers.append(str(layer))
    await runtime.sandbox()
    rootfs = Rootfs(lower=(*layers, str(lower)), upper=str(tmp_path / "u"), work=str(tmp_path / "w"))
    _, output = await runtime.shell("ls / | grep -c file-", rootfs=rootfs)
    assert output == "120\n"


async def test_terminal(pod: Runtime) -> None:
    script = "tty; test -t 0 && test -t 2 && echo terminal; stat -c %t:%T /dev/console"
    ended, output = await pod.shell(script, tty=True)
    assert ended.exit_code == 0
    assert [line.rstrip("\r") for line in output.splitlines()[:2]] == ["/dev/pts/0", "terminal"]


@pytest.mark.parametrize("changes", [{}, {"privileged": True}, {"cgroup": ""}], ids=["usual", "privileged", "none"])
async def test_hierarchies_of_cgroup_v1_show_the_own_part(pod: Runtime, changes: dict[str, Any]) -> None:
    """The container's own cgroup is the root of what is mounted, writable for the privileged alone."""
    if "" in discover(pod.settings.cgroup_root):
        pytest.skip("on cgroup v2 there is one hierarchy")
    identifier = await pod.begin("sleep", "100", resources=Resources(pids_limit=77), **changes)
    script = "grep ' - cgroup ' /proc/self/mountinfo; mkdir /sys/fs/cgroup/pids/own; cat /sys/fs/cgroup/pids/pids.max"
    lines = (await pod.launcher.exec(identifier, ["sh", "-c", script])).stdout.decode().splitlines()
    pids = next(line.split() for line in lines if " /sys/fs/cgroup/pids " in line)
    assert pids[3] == "/"
    assert {"nosuid", "nodev", "noexec"} <= set(pids[5].split(","))
    assert ("ro" in pids[5].split(",")) == ("privileged" not in changes)
    if "cgroup" not in changes:
        assert lines[-1] == "77"
    base = discover(pod.settings.cgroup_root)["pids"]
    assert Path(base, pod.value(identifier).spec.cgroup, "own").is_dir() == ("privileged" in changes)

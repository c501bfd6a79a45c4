"""Attacks that worked on container runtimes, by the number they became known under. Each would do on a naive one."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from knarr_runtime.defaults import DEFAULT_MASKED_PATHS
from knarr_runtime.errors import Invalid, RuntimeFailure, StartFailed, WrongState
from knarr_runtime.kernel import mounts
from knarr_runtime.kernel.seccomp import numbers
from knarr_runtime.spec import Capabilities, Mount, Namespaces, Rootfs
from tests.kernel.runtime.conftest import Runtime, processes_of

if TYPE_CHECKING:
    from tests.kernel.security.conftest import Inside

HOST_ONLY = "this file lies on the host"


def exchange_names(one: str, other: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(-100, one.encode(), -100, other.encode(), 2) == 0


def session_keyring() -> int:
    """The serial number of this process's."""
    number = numbers.table(os.uname().machine)["keyctl"]
    return int(ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.c_long(0), ctypes.c_long(-3), ctypes.c_long(0)))


@pytest.fixture
def treasure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the host that no container may reach."""
    directory = tmp_path_factory.mktemp("treasure")
    (directory / "gold").write_text(HOST_ONLY)
    return directory


# Overwriting the runtime (CVE-2019-5736)


async def test_the_runtime_is_not_overwritten_through_its_own_executable(inside: Inside) -> None:
    """The container's program opens what executed it, and every process that joins it, for writing."""
    program = """
import glob, os, time
found = set()
end = time.monotonic() + 100
while time.monotonic() < end and not os.path.exists("/tmp/stop"):
    for path in glob.glob("/proc/[0-9]*/exe"):
        try:
            target = os.readlink(path)
            os.close(os.open(path, os.O_WRONLY))
            found.add(target)
        except OSError:
            pass
print(sorted(found))
"""
    pod = inside.runtime
    identifier = await inside.begin(program)
    for _ in range(15):
        with contextlib.suppress(StartFailed, WrongState):
            await pod.launcher.exec(identifier, ["/proc/self/exe"])
        with contextlib.suppress(StartFailed, WrongState):
            await pod.launcher.exec(identifier, ["true"])
    await pod.launcher.exec(identifier, ["touch", "/tmp/stop"])
    await pod.written(identifier)
    assert pod.output(identifier) == "[]\n"


async def test_a_script_interpreted_by_the_runtime_runs_nothing_of_the_host(pod: Runtime, lower: Path) -> None:
    """``#!/proc/self/exe``: the interpreter would be whatever is about to execute the script: ours."""
    script = pod.work / "script"
    script.write_text("#!/proc/self/exe\n")
    script.chmod(0o755)
    bound = (Mount(source=str(script), target="/bin/script"),)
    with contextlib.suppress(StartFailed):
        ended, output = await pod.run("/bin/script", mounts=bound)
        assert ended.exit_code != 0
        assert "python" not in output.lower()


# Descriptors and directories of the host (CVE-2024-21626, CVE-2016-9962)


async def test_no_descriptor_leads_to_the_host(inside: Inside) -> None:
    program = """
import os
for name in sorted(os.listdir("/proc/self/fd"), key=int):
    try:
        print(name, os.readlink(f"/proc/self/fd/{name}"))
    except OSError:
        pass
"""
    lines = (await inside.python(program)).splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]


@pytest.mark.parametrize("descriptor", [*range(3, 12), 100, 255])
async def test_a_working_directory_is_not_a_descriptor(pod: Runtime, descriptor: int) -> None:
    script = "ls -d ../../../../../../../../../../../../var/lib 2>/dev/null"
    try:
        ended, output = await pod.shell(script, cwd=f"/proc/self/fd/{descriptor}")
    except (StartFailed, Invalid):
        return
    assert ended.exit_code != 0 and output == ""


async def test_a_process_that_joins_shows_nothing_of_the_host(inside: Inside) -> None:
    """Whoever is inside looks at roots, directories and descriptors of every process that turns up."""
    program = """
import glob, os, stat, time
seen = set()
end = time.monotonic() + 100
while time.monotonic() < end and not os.path.exists("/tmp/stop"):
    for pattern in ("/proc/[0-9]*/cwd", "/proc/[0-9]*/fd/*", "/proc/[0-9]*/root/etc/passwd"):
        for path in glob.glob(pattern):
            try:
                if stat.S_ISFIFO(os.stat(path).st_mode):
                    continue  # a stream, named by the host
                target = os.readlink(path) if "passwd" not in path else open(path).read()
            except OSError:
                continue
            if "passwd" in path:
                seen.add(target)
            elif target.startswith("/") and not os.path.exists(target):
                seen.add(target)
print(len(seen), [text[:60] for text in seen])
"""
    pod = inside.runtime
    identifier = await inside.begin(program)
    for _ in range(15):
        with contextlib.suppress(WrongState):
            await pod.launcher.exec(identifier, ["true"])
    await pod.launcher.exec(identifier, ["touch", "/tmp/stop"])
    await pod.written(identifier)
    own = (pod.lower / "etc/passwd").read_text()
    assert pod.output(identifier) == f"1 {[own[:60]]}\n"


# Mounts that are led astray (CVE-2021-30465, CVE-2022-23648, CVE-2025-31133, -52565, -52881)


@pytest.fixture
def exchanged(tmp_path_factory: pytest.TempPathFactory, treasure: Path) -> Iterator[Path]:
    """A volume in which ``target`` is a directory one moment, and a link out of the container the next."""
    volume = tmp_path_factory.mktemp("volume")
    (volume / "target").mkdir()
    (volume / "link").symlink_to("/.." * 20 + str(treasure))
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            exchange_names(f"{volume}/target", f"{volume}/link")

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield volume
    finally:
        stop.set()
        thread.join()


async def test_a_target_that_is_exchanged_meanwhile_leads_nowhere_else(
    pod: Runtime, exchanged: Path, treasure: Path
) -> None:
    given = pod.work / "given"
    given.mkdir()
    wanted = (Mount(source=str(exchanged), target="/shared"), Mount(source=str(given), target="/shared/target/x"))
    for _ in range(40):
        with contextlib.suppress(RuntimeFailure):
            ended, output = await pod.shell("cat /shared/target/gold /gold 2>/dev/null; true", mounts=wanted)
            assert ended.exit_code == 0 and HOST_ONLY not in output
        assert sorted(os.listdir(treasure)) == ["gold"]
        assert not [point for point in mounts.mount_points() if point.startswith(str(treasure))]


@pytest.mark.parametrize("target", ["/../../../../../{}", "/tmp/../../../../..{}", "/{}/../../../../../..{}"])
async def test_paths_do_not_leave_the_root(pod: Runtime, treasure: Path, target: str) -> None:
    given = pod.work / "given"
    given.mkdir()
    (given / "fake").write_text("")
    path = target.replace("{}", str(treasure))
    ended, output = await pod.shell(f"ls {treasure}", mounts=(Mount(source=str(given), target=path),))
    assert (ended.exit_code, output) == (0, "fake\n")
    assert sorted(os.listdir(treasure)) == ["gold"]


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("volume", ["/link", "/link/gold", "/link/new", "/../../../..{}", "/tmp/../link"])
async def test_a_volume_of_an_image_shows_nothing_of_the_host(
    pod: Runtime, lower: Path, treasure: Path, volume: str, *, readonly: bool
) -> None:
    """CVE-2022-23648."""
    evil = pod.work / "evil"
    evil.mkdir()
    (evil / "link").symlink_to("/.." * 20 + str(treasure))
    rootfs = Rootfs(
        lower=(str(evil), str(lower)), upper=str(evil) + ".upper", work=str(evil) + ".work", readonly=readonly
    )
    volumes = (volume.replace("{}", str(treasure)),)
    script = f"cat /link/gold {treasure}/gold 2>/dev/null; echo mine > {treasure}/mine; cat /link/mine"
    _, output = await pod.shell(script, rootfs=rootfs, volumes=volumes)
    assert HOST_ONLY not in output
    if volume == "/link":
        assert output == "mine\n"
    assert sorted(os.listdir(treasure)) == ["gold"]
    assert (treasure / "gold").read_text() == HOST_ONLY


@pytest.mark.parametrize("tty", [False, True])
async def test_devices_that_an_image_replaces_by_links_are_not_followed(pod: Runtime, lower: Path, tty: bool) -> None:
    """Masks are made of /dev/null, terminals bound on /dev/console: an image may have put links there."""
    evil = pod.work / "evil"
    (evil / "dev").mkdir(parents=True)
    for name in ("null", "zero", "full", "console", "ptmx", "pts", "shm"):
        (evil / "dev" / name).symlink_to("/proc/sys/kernel/core_pattern")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    root = Rootfs(lower=(str(evil), str(lower)), upper=str(pod.work / "u"), work=str(pod.work / "w"))
    masked = " ".join(path for path in DEFAULT_MASKED_PATHS if os.path.isfile(path))
    assert masked
    script = f"stat -c %t:%T /dev/null; (echo x > /proc/sys/kernel/core_pattern) 2>&1; cat {masked} | wc -c"
    _, output = await pod.shell(script, rootfs=root, tty=tty)
    lines = output.replace("\r", "").splitlines()
    assert lines[0] == "1:3"
    assert lines[-1] == "0"
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


@pytest.mark.parametrize("target", ["/proc", "/proc/self/attr", "/proc/sys/kernel", "/proc/1/attr/exec"])
async def test_nothing_is_mounted_over_proc(pod: Runtime, target: str) -> None:
    """What the runtime writes to /proc while it confines would land in a file of the container's choice."""
    given = pod.work / "given"
    given.mkdir()
    for mount in (Mount(kind="tmpfs", target=target), Mount(source=str(given), target=target)):
        with pytest.raises((StartFailed, Invalid), match="proc"):
            await pod.run("true", mounts=(mount,))


async def test_masks_cannot_be_taken_off(inside: Inside) -> None:
    program = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for path in {list(DEFAULT_MASKED_PATHS)!r}:
    if os.path.exists(path):
        print(libc.umount2(path.encode(), 2))
"""
    assert set((await inside.python(program)).split()) <= {"-1"}


# Capabilities, sysctls, sockets (CVE-2022-29162, CVE-2022-0811, CVE-2020-15257)


async def test_no_capability_is_inheritable(pod: Runtime) -> None:
    identifier = await pod.begin("sleep", "100")
    result = await pod.launcher.exec(identifier, ["grep", "-h", "Cap[IA]", "/proc/1/status", "/proc/self/status"])
    assert [line.split()[1] for line in result.stdout.decode().splitlines()] == ["0000000000000000"] * 4


@pytest.mark.parametrize("value", ["1\nkernel.core_pattern=|/bin/sh", "1+kernel.core_pattern=|/bin/sh"])
async def test_a_sysctl_sets_nothing_else(runtime: Runtime, value: str) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    with pytest.raises(RuntimeFailure):
        await runtime.sandbox("other", sysctls={"net.ipv4.ip_unprivileged_port_start": value})
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


async def test_nothing_of_ours_listens_where_a_container_on_the_hosts_network_could_ask(runtime: Runtime) -> None:
    await runtime.sandbox("pod", namespaces=Namespaces(net="host"))
    _, output = await runtime.shell("cat /proc/net/unix")
    abstract = {line.split()[6] for line in output.splitlines() if len(line.split()) > 7 and "@" in line.split()[7]}
    ours = {os.getpid(), *processes_of(runtime.settings.state_dir)}
    for pid in ours:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                assert target.removeprefix("socket:[").rstrip("]") not in abstract


# Neighbours


async def test_signals_reach_only_ones_own(pod: Runtime) -> None:
    neighbour = await pod.begin("sleep", "100")
    await pod.shell("kill -9 -1; true")
    assert (await pod.launcher.exec(neighbour, ["true"])).exit_code == 0
    _, output = await pod.shell("ls -d /proc/[0-9]* | wc -l")
    assert int(output) <= 3


async def test_tracing_reaches_only_ones_own(runtime: Runtime) -> None:
    """Where a pod shares its processes, the other's user may not be traced without the capability for it."""
    await runtime.sandbox("pod", namespaces=Namespaces(pid="pod"))
    neighbour = await runtime.begin("sleep", "100")
    _, output = await runtime.shell("for p in /proc/[0-9]*; do readlink $p/exe; done", user=_user(1000))
    assert "sleep" not in output
    assert (await runtime.launcher.exec(neighbour, ["true"])).exit_code == 0


def _user(number: int):  # type: ignore[no-untyped-def]
    from knarr_runtime.spec import User

    return User(uid=number, gid=number)


async def test_a_container_without_limit_of_files_does_not_stop_its_neighbours(pod: Runtime) -> None:
    fills = "while dd if=/dev/zero of=/dev/shm/$RANDOM bs=1M count=64 2>/dev/null; do :; done; echo full"
    greedy = await pod.begin("sh", "-c", f"{fills}; sleep 100")
    neighbour = await pod.begin("sleep", "100")
    async with asyncio.timeout(20):
        await pod.until(lambda: "full" in pod.output(greedy))
    assert (await pod.launcher.exec(neighbour, ["sh", "-c", "echo x > /tmp/file && cat /tmp/file"])).stdout == b"x\n"


# Keyrings and system calls


REFUSED = (
    ("keyctl", (0, -3, 1)),
    ("add_key", (0, 0, 0, 0, -2)),
    ("request_key", (0, 0, 0, 0)),
    ("bpf", (0, 0, 0)),
    ("mount", (0, 0, 0, 0, 0)),
    ("unshare", (0x10000000,)),
    ("setns", (-1, 0)),
    ("kexec_load", (0, 0, 0, 0)),
    ("open_by_handle_at", (-1, 0, 0)),
    ("userfaultfd", (0,)),
    ("io_uring_setup", (1, 0)),
    ("perf_event_open", (0, 0, -1, -1, 0)),
    ("init_module", (0, 0, 0)),
    ("move_mount", (-1, 0, -1, 0, 0)),
    ("fsopen", (0, 0)),
    ("pivot_root", (0, 0)),
    ("quotactl", (0, 0, 0, 0)),
    ("swapon", (0, 0)),
    ("reboot", (0, 0, 0, 0)),
)


@pytest.mark.parametrize("everything", [False, True], ids=["default", "all-capabilities-but-those-of-the-filter"])
async def test_system_calls_refused_by_default(inside: Inside, everything: bool) -> None:
    """With the filter's own refusal EPERM, before the kernel looks at the arguments, which make no sense."""
    known = numbers.table(os.uname().machine)
    calls = [(name, known[name], arguments) for name, arguments in REFUSED if name in known]
    program = f"""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for name, number, arguments in {calls!r}:
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(value) for value in arguments])
    print(name, result, errno.errorcode.get(ctypes.get_errno()))
"""
    more = {}
    if everything:
        names = ("CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID", "CAP_NET_RAW", "CAP_MKNOD", "CAP_FOWNER")
        more["capabilities"] = Capabilities(bounding=names, effective=names, permitted=names)
    lines = (await inside.python(program, **more)).splitlines()
    assert lines == [f"{name} -1 EPERM" for name, _, _ in calls]


async def test_calls_of_other_architectures_do_not_get_past_the_filter(inside: Inside) -> None:
    """x32's numbers on x86-64 mean the same calls; refused or unknown, never done."""
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(ctypes.c_long(0x40000000 + 39)) == os.getpid())
"""
    assert await inside.python(program) == "False\n"


async def test_keys_of_the_host_are_not_at_hand(inside: Inside) -> None:
    """Without a filter the session keyring is the container's own, and empty."""
    number = numbers.table(os.uname().machine)["keyctl"]
    program = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
keyring = libc.syscall(ctypes.c_long({number}), ctypes.c_long(0), ctypes.c_long(-3), ctypes.c_long(0))
print(keyring)
"""
    first = await inside.python(program, seccomp="unconfined")
    second = await inside.python(program, seccomp="unconfined")
    host = session_keyring()
    assert first != second
    assert str(host) not in (first.strip(), second.strip())


async def test_the_network_of_the_host_is_not_there(inside: Inside) -> None:
    """What listens on the host's loopback is not reached from a pod of its own network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
    print("reached")
except OSError as error:
    print(type(error).__name__)
"""
        assert "reached" not in await inside.python(program)

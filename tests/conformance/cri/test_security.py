"""Security contexts: namespaces, users and groups, privileges, capabilities, hidden paths, seccomp, AppArmor."""

from __future__ import annotations

import ctypes
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.kernel.mounts import owners_map

IPC_PRIVATE, IPC_RMID = 0, 0


def value(number: int) -> Any:
    return cri.Int64Value(value=number)


def pod_with(runtime: Any, **modes: Any) -> tuple[Any, dict[str, Any]]:
    """A pod with these namespaces, and what its containers' security contexts must say."""
    options = cri.NamespaceOption(**modes)
    security = cri.LinuxSandboxSecurityContext(namespace_options=options)
    return runtime.pod(linux=cri.LinuxPodSandboxConfig(security_context=security)), {"namespace_options": options}


# Namespaces


def test_with_the_hosts_pids_everything_is_seen(runtime: Any) -> None:
    pod, namespaces = pod_with(runtime, pid=cri.NODE)
    container = runtime.secure(pod, **namespaces)
    pid = runtime.info(container)["pid"]
    assert runtime.output(container, "cat", f"/proc/{pid}/cmdline").startswith("sleep")
    assert runtime.output(container, "cat", "/proc/1/cmdline") == Path("/proc/1/cmdline").read_text()


def test_with_the_pods_pids_containers_see_each_other(runtime: Any) -> None:
    pod, namespaces = pod_with(runtime, pid=cri.POD)
    first = runtime.secure(pod, "sleep", "1111", **namespaces)
    second = runtime.secure(pod, "sleep", "2222", **namespaces)
    if runtime.kind == "knarr":
        assert runtime.output(first, "cat", "/proc/1/cmdline") == "pause\0", "nothing of the machine's is told"
    assert not runtime.output(first, "cat", "/proc/1/cmdline").startswith("sleep\x001111")
    assert "sleep 1111" in runtime.output(second, "ps", "-o", "args")


def test_with_pids_of_its_own_a_container_is_the_first(runtime: Any) -> None:
    pod, namespaces = pod_with(runtime, pid=cri.CONTAINER)
    first = runtime.secure(pod, "sleep", "1111", **namespaces)
    second = runtime.secure(pod, "sleep", "2222", **namespaces)
    assert runtime.output(first, "cat", "/proc/1/cmdline") == "sleep\x001111\x00"
    assert "1111" not in runtime.output(second, "ps", "-o", "args")


def test_with_the_pids_of_another_container_both_are_seen(runtime: Any) -> None:
    pod, namespaces = pod_with(runtime, pid=cri.CONTAINER)
    target = runtime.secure(pod, "sleep", "1111", **namespaces)
    options = cri.NamespaceOption(pid=cri.TARGET, target_id=target)
    debugging = runtime.secure(pod, "sleep", "2222", namespace_options=options)
    assert runtime.output(debugging, "cat", "/proc/1/cmdline") == "sleep\x001111\x00"
    assert "sleep 2222" in runtime.output(debugging, "ps", "-o", "args")


def test_a_container_may_have_pids_of_its_own_where_the_others_share_theirs(runtime: Any) -> None:
    pod, namespaces = pod_with(runtime, pid=cri.POD)
    shared = runtime.secure(pod, "sleep", "1111", **namespaces)
    own = runtime.secure(pod, "sleep", "2222", namespace_options=cri.NamespaceOption(pid=cri.CONTAINER))
    assert runtime.output(own, "cat", "/proc/1/cmdline") == "sleep\x002222\x00"
    assert "1111" not in runtime.output(own, "ps", "-o", "args")
    assert "sleep 2222" not in runtime.output(shared, "ps", "-o", "args")
    runtime.stop(own)
    assert runtime.status(shared).state == cri.CONTAINER_RUNNING


@pytest.mark.knarr_only
def test_targets_that_cannot_be_are_refused(runtime: Any) -> None:
    pod, namespaces = pod_with(runtime, pid=cri.CONTAINER)
    other, _ = pod_with(runtime, pid=cri.CONTAINER)
    elsewhere = runtime.secure(other, **namespaces)
    for target in ("", "no-such-container", elsewhere):
        options = cri.NamespaceOption(pid=cri.TARGET, target_id=target)
        error = runtime.refused(lambda options=options: runtime.secure(pod, namespace_options=options))
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    ended = runtime.secure(pod, "true", **namespaces)
    runtime.ended(ended)
    options = cri.NamespaceOption(pid=cri.TARGET, target_id=ended)
    error = runtime.refused(lambda: runtime.secure(pod, namespace_options=options))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.knarr_only
@pytest.mark.parametrize("kind", ["network", "pid", "ipc"])
def test_the_machines_namespaces_need_a_sandbox_that_has_them(runtime: Any, kind: str) -> None:
    pod = runtime.pod()
    error = runtime.refused(lambda: runtime.secure(pod, namespace_options=cri.NamespaceOption(**{kind: cri.NODE})))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and f"namespace_options.{kind}" in error.details()


@pytest.fixture
def segment() -> Iterator[int]:
    """A segment of System V shared memory of the machine."""
    libc = ctypes.CDLL(None, use_errno=True)
    identifier = libc.shmget(IPC_PRIVATE, 4096, 0o600)
    assert identifier >= 0
    yield identifier
    libc.shmctl(identifier, IPC_RMID, None)


@pytest.mark.parametrize(("mode", "seen"), [(cri.NODE, True), (cri.POD, False)])
def test_shared_memory_of_the_machine(runtime: Any, segment: int, mode: Any, seen: bool) -> None:
    pod, namespaces = pod_with(runtime, ipc=mode)
    container = runtime.secure(pod, **namespaces)
    listed = [line.split()[1] for line in runtime.output(container, "cat", "/proc/sysvipc/shm").splitlines()[1:]]
    assert (str(segment) in listed) == seen


@pytest.mark.parametrize(("mode", "seen"), [(cri.NODE, True), (cri.POD, False)])
def test_posix_shared_memory_of_the_machine(runtime: Any, mode: Any, seen: bool) -> None:
    pod, namespaces = pod_with(runtime, ipc=mode)
    container = runtime.secure(pod, **namespaces)
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="conformance-") as file:
        assert (runtime.execute(container, "test", "-e", file.name).exit_code == 0) == seen


# Users


def whoami(runtime: Any, image: str = "busybox:1", **security: Any) -> tuple[int, int, set[int]]:
    """User, group and all groups of a container's program; an exec has the same."""
    container = runtime.secure(runtime.pod(), "sh", "-c", "id -u; id -g; id -G; sleep 1000", **security)
    return _ids(runtime, container)


def of_image(runtime: Any, image: str, **security: Any) -> tuple[int, int, set[int]]:
    linux = cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(**security))
    script = ("sh", "-c", "id -u; id -g; id -G; sleep 1000")
    return _ids(runtime, runtime.started(runtime.pod(), *script, image=image, linux=linux))


def _ids(runtime: Any, container: str) -> tuple[int, int, set[int]]:
    runtime.until(lambda: len(runtime.log(container)) >= 3, "three lines")
    user, group, groups = (line[2] for line in runtime.log(container)[:3])
    found = int(user), int(group), {int(one) for one in groups.split()}
    executed = runtime.output(container, "sh", "-c", "id -u; id -g; id -G").splitlines()
    assert (int(executed[0]), int(executed[1]), {int(one) for one in executed[2].split()}) == found
    return found


def test_run_as_user(runtime: Any) -> None:
    assert whoami(runtime, run_as_user=value(1001))[0] == 1001


def test_run_as_username(runtime: Any) -> None:
    assert whoami(runtime, run_as_username="www-data")[:2] == (33, 33)


def test_run_as_group(runtime: Any) -> None:
    assert whoami(runtime, run_as_user=value(1001), run_as_group=value(1002))[:2] == (1001, 1002)


def test_a_group_without_a_user_is_refused(runtime: Any) -> None:
    pod = runtime.pod()
    runtime.refused(lambda: runtime.secure(pod, run_as_group=value(1002)))


def test_a_user_that_the_image_does_not_know_is_refused(runtime: Any) -> None:
    pod = runtime.pod()
    error = runtime.refused(lambda: runtime.secure(pod, run_as_username="nobody-here"))
    assert "nobody-here" in error.details() or "no users found" in error.details()


@pytest.mark.parametrize(
    ("image", "user", "group"),
    [
        ("user:number", 1002, 0),
        ("user:number-group", 1003, 1004),
        ("user:name", 33, 33),
        ("user:name-group", 33, 33),
    ],
)
def test_the_images_user(runtime: Any, image: str, user: int, group: int) -> None:
    assert of_image(runtime, image)[:2] == (user, group)


def test_supplemental_groups(runtime: Any) -> None:
    groups = whoami(runtime, run_as_user=value(1001), supplemental_groups=[1234, 5678])[2]
    assert {1234, 5678} <= groups


def test_groups_of_the_image_are_added(runtime: Any) -> None:
    groups = whoami(runtime, run_as_user=value(1000), supplemental_groups=[1234])[2]
    assert {1234, 50000} <= groups


@pytest.mark.containerd_lacks("supplemental_groups_policy is of CRI 1.31 and later")
def test_groups_of_the_image_are_left_out_when_strict(runtime: Any) -> None:
    features = runtime.runtime.Status(cri.StatusRequest()).features
    assert features.supplemental_groups_policy
    strict = {"supplemental_groups": [1234], "supplemental_groups_policy": cri.Strict}
    groups = whoami(runtime, run_as_user=value(1000), run_as_group=value(1000), **strict)[2]
    assert groups == {1000, 1234}


@pytest.mark.containerd_lacks("a status's user is of CRI 1.31 and later")
def test_status_tells_the_user(runtime: Any) -> None:
    context = {"run_as_user": value(1000), "run_as_group": value(1003), "supplemental_groups": [1234]}
    user = runtime.status(runtime.secure(runtime.pod(), **context)).user.linux
    assert (user.uid, user.gid) == (1000, 1003)
    assert {1234, 50000} <= set(user.supplemental_groups)


# Privileges


def status_line(runtime: Any, container: str, name: str) -> str:
    text = runtime.output(container, "grep", f"^{name}:", "/proc/self/status")
    return str(text.split()[1])


PRIVILEGED_POD = cri.LinuxPodSandboxConfig(security_context=cri.LinuxSandboxSecurityContext(privileged=True))
CHANGE_NETWORK = ("ip", "addr", "add", "10.9.9.9/32", "dev", "lo")


def test_a_privileged_container_manages_its_network(runtime: Any) -> None:
    pod = runtime.pod(linux=PRIVILEGED_POD)
    container = runtime.secure(pod, privileged=True)
    runtime.output(container, *CHANGE_NETWORK)
    assert status_line(runtime, container, "Seccomp") == "0"
    assert runtime.execute(container, "test", "-w", "/proc/sys/kernel/domainname").exit_code == 0
    runtime.output(container, "test", "-e", "/dev/kmsg")


def test_an_ordinary_container_does_not(runtime: Any) -> None:
    container = runtime.secure(runtime.pod())
    assert runtime.execute(container, *CHANGE_NETWORK).exit_code != 0
    assert runtime.execute(container, "test", "-e", "/dev/kmsg").exit_code == 1
    assert runtime.execute(container, "mount", "-t", "tmpfs", "none", "/tmp").exit_code != 0


@pytest.mark.parametrize("name", ["NET_ADMIN", "ALL"])
def test_added_capabilities_are_there(runtime: Any, name: str) -> None:
    container = runtime.secure(runtime.pod(), capabilities=cri.Capability(add_capabilities=[name]))
    runtime.output(container, *CHANGE_NETWORK)


@pytest.mark.parametrize("name", ["CHOWN", "ALL"])
def test_dropped_capabilities_are_gone(runtime: Any, name: str) -> None:
    container = runtime.secure(runtime.pod(), capabilities=cri.Capability(drop_capabilities=[name]))
    assert runtime.execute(container, "chown", "1:1", "/tmp").exit_code != 0
    if name == "ALL":
        assert int(status_line(runtime, container, "CapEff"), 16) == 0
        assert int(status_line(runtime, container, "CapBnd"), 16) == 0


def test_what_is_added_stays_when_all_else_is_dropped(runtime: Any) -> None:
    chosen = cri.Capability(drop_capabilities=["ALL"], add_capabilities=["CHOWN"])
    container = runtime.secure(runtime.pod(), capabilities=chosen)
    assert int(status_line(runtime, container, "CapEff"), 16) == 1


def test_by_default_there_are_the_fourteen_capabilities(runtime: Any) -> None:
    container = runtime.secure(runtime.pod())
    assert int(status_line(runtime, container, "CapEff"), 16) == 0xA80425FB


def capability_sets(runtime: Any, container: str) -> dict[str, int]:
    lines = Path(f"/proc/{runtime.info(container)['pid']}/status").read_text().splitlines()
    return {name: int(value, 16) for name, value in (line.split(":") for line in lines) if name.startswith("Cap")}


@pytest.mark.containerd_lacks("ambient capabilities are behind a switch in containerd 1.6")
def test_ambient_capabilities_reach_a_plain_user(runtime: Any) -> None:
    chosen = cri.Capability(add_capabilities=["NET_ADMIN"], add_ambient_capabilities=["NET_ADMIN"])
    container = runtime.secure(runtime.pod(), run_as_user=value(1001), capabilities=chosen)
    assert capability_sets(runtime, container)["CapAmb"] == 1 << 12


@pytest.mark.containerd_lacks("ambient capabilities are behind a switch in containerd 1.6")
def test_what_is_only_ambient_is_in_every_set_unless_it_is_dropped(runtime: Any) -> None:
    chosen = cri.Capability(drop_capabilities=["ALL"], add_ambient_capabilities=["NET_ADMIN"])
    pod = runtime.pod()
    sets = capability_sets(runtime, runtime.secure(pod, run_as_user=value(1001), capabilities=chosen))
    assert set(sets.values()) == {1 << 12}
    chosen = cri.Capability(drop_capabilities=["SETUID"], add_ambient_capabilities=["SETUID"])
    assert capability_sets(runtime, runtime.secure(pod, capabilities=chosen))["CapAmb"] == 0
    chosen = cri.Capability(add_ambient_capabilities=["ALL"])
    sets = capability_sets(runtime, runtime.secure(pod, capabilities=chosen))
    assert sets["CapAmb"] == sets["CapBnd"] > 1 << 12


@pytest.mark.knarr_only
def test_an_unknown_capability_is_refused(runtime: Any) -> None:
    pod = runtime.pod()
    runtime.refused(lambda: runtime.secure(pod, capabilities=cri.Capability(add_capabilities=["NO_SUCH"])))


@pytest.mark.parametrize(("wanted", "shown"), [(True, "1"), (False, "0")])
def test_no_new_privileges(runtime: Any, wanted: bool, shown: str) -> None:
    container = runtime.secure(runtime.pod(), run_as_user=value(1001), no_new_privs=wanted)
    assert status_line(runtime, container, "NoNewPrivs") == shown


def test_masked_paths_show_nothing(runtime: Any) -> None:
    container = runtime.secure(runtime.pod(), masked_paths=["/etc/passwd", "/www", "/no/such/path"])
    assert runtime.output(container, "cat", "/etc/passwd") == ""
    assert runtime.output(container, "ls", "-A", "/www") == ""


def test_readonly_paths_are_not_written(runtime: Any) -> None:
    container = runtime.secure(runtime.pod(), readonly_paths=["/tmp", "/no/such/path"])
    answer = runtime.execute(container, "touch", "/tmp/test")
    assert answer.exit_code != 0 and b"Read-only file system" in answer.stderr


def test_a_privileged_container_sees_through_masks(runtime: Any) -> None:
    pod = runtime.pod(linux=PRIVILEGED_POD)
    container = runtime.secure(pod, privileged=True)
    assert runtime.output(container, "wc", "-c", "/proc/timer_list").split()[0] != "0"


# System calls


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """Of seccomp; nobody may set the host's name."""
    path = tmp_path / "no-hostname.json"
    rule = {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    return path


def seccomp(kind: Any, reference: str = "") -> dict[str, Any]:
    return {"seccomp": cri.SecurityProfile(profile_type=kind, localhost_ref=reference)}


SYS_ADMIN = cri.Capability(add_capabilities=["SYS_ADMIN"])


def test_unconfined_nothing_is_filtered(runtime: Any) -> None:
    container = runtime.secure(runtime.pod(), capabilities=SYS_ADMIN, **seccomp(cri.Unconfined))
    assert status_line(runtime, container, "Seccomp") == "0"
    runtime.output(container, "hostname", "new")


def test_the_default_profile_filters(runtime: Any) -> None:
    container = runtime.secure(runtime.pod(), **seccomp(cri.RuntimeDefault))
    assert status_line(runtime, container, "Seccomp") == "2"
    assert runtime.execute(container, "hostname", "new").exit_code != 0
    assert runtime.execute(container, "unshare", "-m", "true").exit_code != 0


def test_the_default_profile_follows_the_capabilities(runtime: Any) -> None:
    container = runtime.secure(runtime.pod(), capabilities=SYS_ADMIN, **seccomp(cri.RuntimeDefault))
    runtime.output(container, "hostname", "new")


def test_a_profile_of_the_host_filters(runtime: Any, profile: Path) -> None:
    context = {"capabilities": SYS_ADMIN, **seccomp(cri.Localhost, str(profile))}
    container = runtime.secure(runtime.pod(), **context)
    answer = runtime.execute(container, "hostname", "new")
    assert answer.exit_code != 0 and b"Operation not permitted" in answer.stderr


def test_privileged_a_profile_is_ignored(runtime: Any, profile: Path) -> None:
    context = {"privileged": True, **seccomp(cri.Localhost, str(profile))}
    container = runtime.secure(runtime.pod(linux=PRIVILEGED_POD), **context)
    runtime.output(container, "hostname", "new")


@pytest.mark.parametrize("reference", ["", "/no/such/profile.json"])
def test_a_profile_that_is_not_there_is_refused(runtime: Any, reference: str) -> None:
    pod = runtime.pod()
    runtime.refused(lambda: runtime.secure(pod, **seccomp(cri.Localhost, reference)))


@pytest.mark.parametrize(
    ("path", "shown"), [("unconfined", "0"), ("runtime/default", "2"), ("localhost/{profile}", "2")]
)
def test_the_older_field_for_profiles(runtime: Any, profile: Path, path: str, shown: str) -> None:
    path = path.format(profile=profile)
    container = runtime.secure(runtime.pod(), seccomp_profile_path=path)
    assert status_line(runtime, container, "Seccomp") == shown


def test_the_older_field_needs_a_prefix(runtime: Any, profile: Path) -> None:
    pod = runtime.pod()
    runtime.refused(lambda: runtime.secure(pod, seccomp_profile_path=str(profile)))


@pytest.mark.skipif(Path("/sys/module/apparmor").exists(), reason="what a kernel without AppArmor must answer")
@pytest.mark.parametrize(
    "given",
    [
        {"apparmor": cri.SecurityProfile(profile_type=cri.Localhost, localhost_ref="mine")},
        {"apparmor_profile": "localhost/mine"},
    ],
)
def test_an_apparmor_profile_needs_apparmor(runtime: Any, given: dict[str, Any]) -> None:
    pod = runtime.pod()
    error = runtime.refused(lambda: runtime.secure(pod, **given))
    assert "apparmor" in error.details().lower()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            cri.RuntimeDefault, marks=pytest.mark.containerd_lacks("it refuses its own default without AppArmor")
        ),
        cri.Unconfined,
    ],
)
def test_other_apparmor_profiles_run_anywhere(runtime: Any, kind: Any) -> None:
    runtime.secure(runtime.pod(), apparmor=cri.SecurityProfile(profile_type=kind))


# User namespaces


@pytest.mark.knarr_only
def test_user_namespaces_are_there_or_refused(runtime: Any) -> None:
    """What they do is in test_users."""
    handlers = {h.name: h.features for h in runtime.runtime.Status(cri.StatusRequest()).runtime_handlers}
    assert handlers[""].user_namespaces is owners_map()
    if not owners_map():
        mapping = [cri.IDMapping(host_id=200_000, container_id=0, length=65536)]
        users = cri.UserNamespace(mode=cri.POD, uids=mapping, gids=mapping)
        error = runtime.refused(lambda: pod_with(runtime, userns_options=users))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "6.3" in error.details()


@pytest.mark.containerd_lacks("user namespaces came with containerd 1.7")
def test_mappings_that_make_no_sense_are_refused(runtime: Any) -> None:
    mapping = [cri.IDMapping(host_id=0, container_id=0, length=0)]
    options = cri.NamespaceOption(userns_options=cri.UserNamespace(mode=cri.POD, uids=mapping, gids=mapping))
    security = cri.LinuxSandboxSecurityContext(namespace_options=options)
    config = runtime.pod_config(linux=cri.LinuxPodSandboxConfig(security_context=security))
    error = runtime.refused(lambda: runtime.run_pod(config))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


# Cgroups


def delegates() -> bool:
    """Whether this machine can give a subtree of cgroups to a container."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return (
        any(" - cgroup2 " in line and "nsdelegate" in line for line in lines)
        and not Path("/sys/fs/cgroup/cpu").exists()
    )


@pytest.mark.parametrize("mode", [cri.CGROUP_MOUNT_MODE_UNSPECIFIED, cri.CGROUP_MOUNT_MODE_READ_ONLY])
def test_cgroups_are_read_only(runtime: Any, mode: Any) -> None:
    container = runtime.secure(runtime.pod(), cgroup_mount_mode=mode)
    directory = runtime.output(container, "sh", "-c", "ls -d /sys/fs/cgroup/memory || echo /sys/fs/cgroup").strip()
    answer = runtime.execute(container, "mkdir", f"{directory}/new")
    assert answer.exit_code == 1 and b"Read-only file system" in answer.stderr


@pytest.mark.knarr_only
def test_cgroups_are_written_where_they_can_be_given_away(runtime: Any) -> None:
    assert runtime.runtime.Status(cri.StatusRequest()).features.cgroup_mount_mode
    pod = runtime.pod()
    if not delegates():
        error = runtime.refused(lambda: runtime.secure(pod, cgroup_mount_mode=cri.CGROUP_MOUNT_MODE_WRITABLE))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and "cgroup_mount_mode" in error.details()
        return
    container = runtime.secure(pod, cgroup_mount_mode=cri.CGROUP_MOUNT_MODE_WRITABLE)
    runtime.output(
        container, "sh", "-c", "cd /sys/fs/cgroup && mkdir new && echo 0 > new/cgroup.procs && cat /proc/self/cgroup"
    )
    limits = runtime.execute(container, "sh", "-c", "echo max > /sys/fs/cgroup/pids.max")
    assert limits.exit_code == 1, "its own limits stay out of its reach"
    runtime.remove(container)


@pytest.mark.knarr_only
def test_cgroups_of_a_privileged_container_are_read_only_when_asked_for(runtime: Any) -> None:
    pod = runtime.pod(linux=PRIVILEGED_POD)
    for mode, code in ((cri.CGROUP_MOUNT_MODE_UNSPECIFIED, 0), (cri.CGROUP_MOUNT_MODE_READ_ONLY, 1)):
        container = runtime.secure(pod, privileged=True, cgroup_mount_mode=mode)
        script = "cd /sys/fs/cgroup; cd memory 2>&1; mkdir new && rmdir new"
        assert runtime.execute(container, "sh", "-c", script).exit_code == code

"""Images as they are found in the wild: from scratch, with odd user files, with links and files where mounts go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri


def sleeper(runtime: Any, image: str, **more: Any) -> str:
    return str(runtime.started(runtime.pod(), image=image, **more))


def security(**given: Any) -> Any:
    return cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(**given))


def groups_of(runtime: Any, container: str) -> tuple[list[int], list[int], list[int]]:
    """Of its program: user and group (real to filesystem's), and the supplemental groups."""
    text = Path(f"/proc/{runtime.info(container)['pid']}/status").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines())
    user, group, groups = ([int(one) for one in fields[name].split()] for name in ("Uid", "Gid", "Groups"))
    return user, group, groups


# Nothing but a program


@pytest.mark.parametrize("readonly", [False, True])
def test_an_image_of_one_file_has_all_that_programs_expect(runtime: Any, readonly: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mounted\n")
    mounts = [
        cri.Mount(host_path=str(tmp_path), container_path="/deep/below/directory"),
        cri.Mount(host_path=str(tmp_path / "file"), container_path="/etc/some/file", readonly=True),
    ]
    container = sleeper(runtime, "odd:scratch", mounts=mounts, linux=security(readonly_rootfs=readonly))
    for path in ("/proc/self/status", "/sys/class/net", "/dev/null", "/dev/shm", "/dev/pts", "/etc/resolv.conf"):
        runtime.output(container, "/busybox", "test", "-e", path)
    assert runtime.output(container, "/busybox", "cat", "/deep/below/directory/file") == "mounted\n"
    assert runtime.output(container, "/busybox", "cat", "/etc/some/file") == "mounted\n"
    assert runtime.output(container, "/busybox", "pwd") == "/\n"
    assert runtime.execute(container, "/busybox", "touch", "/new").exit_code == int(readonly)


# Users


def test_without_user_files_there_are_numbers(runtime: Any) -> None:
    container = sleeper(runtime, "odd:no-users")
    assert runtime.execute(container, "test", "-e", "/etc/passwd").exit_code == 1
    assert groups_of(runtime, container)[:2] == ([0] * 4, [0] * 4)
    linux = security(run_as_user=cri.Int64Value(value=4000), supplemental_groups=[7])
    user, group, groups = groups_of(runtime, sleeper(runtime, "odd:no-users", linux=linux))
    assert (user, group) == ([4000] * 4, [0] * 4) and 7 in groups


def test_without_user_files_there_are_no_names(runtime: Any) -> None:
    pod = runtime.pod()
    linux = security(run_as_username="www-data")
    runtime.refused(lambda: runtime.create(pod, image="odd:no-users", linux=linux))


def test_user_files_with_broken_lines(runtime: Any) -> None:
    user, group, groups = groups_of(runtime, sleeper(runtime, "odd:users"))
    assert (user, group) == ([1234] * 4, [5678] * 4)
    assert 92 not in groups


@pytest.mark.knarr_only
def test_a_user_with_a_number_that_is_none_is_refused(runtime: Any) -> None:
    pod = runtime.pod()
    for name in ("large", "broken", "text"):
        linux = security(run_as_username=name)
        runtime.refused(lambda linux=linux: runtime.start(runtime.create(pod, image="odd:users", linux=linux)))


def test_the_last_of_many_users_is_found(runtime: Any) -> None:
    container = sleeper(runtime, "odd:many-users")
    assert groups_of(runtime, container)[0] == [54321] * 4
    environment = Path(f"/proc/{runtime.info(container)['pid']}/environ").read_bytes().split(b"\0")
    assert b"HOME=/last" in environment


def test_a_user_file_that_is_a_link(runtime: Any) -> None:
    container = sleeper(runtime, "odd:moved-users")
    assert groups_of(runtime, container)[:2] == ([777] * 4, [778] * 4)
    environment = Path(f"/proc/{runtime.info(container)['pid']}/environ").read_bytes().split(b"\0")
    assert b"HOME=/moved" in environment


@pytest.mark.parametrize("image", ["odd:nobody-at-all", "odd:group-of-nobody", "odd:user-too-large"])
def test_numbers_that_are_no_users_do_not_become_root(runtime: Any, image: str) -> None:
    """To the kernel, 4294967295 says: stay who you are."""
    pod = runtime.pod()
    runtime.refused(lambda: runtime.start(runtime.create(pod, image=image)))
    name = cri.ImageSpec(image=runtime.image(image))
    told = runtime.images.ImageStatus(cri.ImageStatusRequest(image=name)).image
    assert told.id and (told.uid.value or told.username)


# Settings


@pytest.mark.containerd_lacks("runc wants every variable to have a value")
@pytest.mark.parametrize("readonly", [False, True])
def test_settings_that_say_nothing_are_left_out(runtime: Any, readonly: bool) -> None:
    container = sleeper(runtime, "odd:settings", linux=security(readonly_rootfs=readonly))
    environment = Path(f"/proc/{runtime.info(container)['pid']}/environ").read_bytes().decode().split("\0")
    assert {"A=b=c", "EMPTY="} <= set(environment) and any(one.startswith("PATH=/") for one in environment)
    assert not [one for one in environment if one.startswith(("NO_EQUALS", "="))]
    runtime.output(container, "touch", "/relative/path/file", "/up/file")
    assert runtime.execute(container, "touch", "/file").exit_code == int(readonly)


# Links and files where something is mounted


def test_links_in_etc_lead_to_the_pods_files(runtime: Any) -> None:
    dns = cri.DNSConfig(servers=["10.10.10.10"])
    pod = runtime.pod(dns_config=dns, hostname="somebody")
    container = runtime.started(pod, image="odd:links-in-etc")
    assert "10.10.10.10" in runtime.output(container, "cat", "/etc/resolv.conf")
    assert "localhost" in runtime.output(container, "cat", "/etc/hosts")
    assert runtime.output(container, "cat", "/etc/hostname") == "somebody\n"
    assert " /proc " in runtime.output(container, "cat", "/etc/mtab")


def test_devices_are_not_the_images(runtime: Any) -> None:
    container = sleeper(runtime, "odd:dev")
    assert runtime.output(container, "cat", "/dev/null") == ""
    assert runtime.execute(container, "test", "-e", "/dev/own").exit_code == 1
    runtime.output(container, "sh", "-c", "echo shared > /dev/shm/file; test -c /dev/null; test -w /dev/shm")


@pytest.mark.parametrize("image", ["odd:dev-is-a-link", "odd:proc-is-a-link", "odd:sys-is-a-link"])
def test_a_link_where_a_filesystem_goes_is_followed_inside_or_refused(runtime: Any, image: str) -> None:
    """Never outside: nothing is mounted on the machine's own directories."""
    before = Path("/proc/self/mountinfo").read_text().count(" /tmp ")
    pod = runtime.pod()
    container = runtime.create(pod, image=image)
    try:
        runtime.start(container)
    except grpc.RpcError as error:
        assert "tmp" in str(error) or "link" in str(error) or "directory" in str(error)
    else:
        runtime.output(container, "test", "-e", "/proc/self")
    assert Path("/proc/self/mountinfo").read_text().count(" /tmp ") == before
    assert not os.path.exists("/tmp/null") and not os.path.exists("/tmp/class")


def test_links_in_the_image_lead_mounts_and_directories(runtime: Any, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    mounts = [cri.Mount(host_path=str(tmp_path), container_path="/var/run/secrets/io", readonly=True)]
    container = sleeper(runtime, "odd:run", mounts=mounts)
    assert runtime.output(container, "cat", "/run/secrets/io/token") == "secret\n"
    assert runtime.output(container, "ls") == "here\n"
    assert runtime.output(container, "cat", "/srv/data/from-image", "/var/data/from-image") == "kept\nkept\n"


@pytest.mark.knarr_only
@pytest.mark.parametrize("program", ["no-shebang", "crlf", "no-interpreter"])
def test_scripts_that_can_not_be_run_say_why(runtime: Any, program: str) -> None:
    container = runtime.create(runtime.pod(), program, image="odd:scripts")
    error = runtime.refused(lambda: runtime.start(container))
    wanted = "exec format error" if program == "no-shebang" else "no such file or directory"
    assert wanted in error.details()
    status = runtime.status(container)
    assert status.state == cri.CONTAINER_EXITED and status.exit_code and wanted in status.message


@pytest.mark.parametrize("readonly", [False, True])
def test_what_an_image_declares_a_volume_is_there_and_written(runtime: Any, readonly: bool, tmp_path: Path) -> None:
    pod, linux = runtime.pod(), security(readonly_rootfs=readonly)
    container = runtime.sleeper(pod, image="entry:1", linux=linux)
    assert runtime.output(container, "cat", "/declared/from-image") == "kept\n"
    runtime.output(container, "touch", "/declared/new", "/not/there/new")
    assert runtime.execute(container, "touch", "/new").exit_code == int(readonly)
    assert runtime.output(container, "pwd") == "/work/here\n"
    mounts = [cri.Mount(host_path=str(tmp_path), container_path="/declared")]
    container = runtime.sleeper(pod, image="entry:1", linux=linux, mounts=mounts)
    runtime.output(container, "touch", "/declared/on-the-host")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["on-the-host"]


# Programs with privileges


@pytest.mark.parametrize("no_new_privs", [False, True])
def test_a_set_user_id_program_gains_privileges_unless_that_is_forbidden(runtime: Any, no_new_privs: bool) -> None:
    linux = security(run_as_user=cri.Int64Value(value=1000), no_new_privs=no_new_privs)
    container = sleeper(runtime, "odd:privileges", linux=linux)
    answer = runtime.execute(container, "/privileged/su", "-c", "id -u", "root")
    assert answer.stdout == (b"" if no_new_privs else b"0\n"), answer.stderr
    assert (answer.exit_code == 0) is not no_new_privs


@pytest.mark.parametrize("no_new_privs", [False, True])
def test_a_files_capabilities_are_kept_and_gained_unless_that_is_forbidden(runtime: Any, no_new_privs: bool) -> None:
    linux = security(run_as_user=cri.Int64Value(value=1000), no_new_privs=no_new_privs)
    container = sleeper(runtime, "odd:privileges", linux=linux)
    runtime.output(container, "touch", "/tmp/file")
    assert runtime.execute(container, "chown", "33", "/tmp/file").exit_code == 1
    by_a_shell = ("sh", "-c", "/privileged/chown 33 /tmp/file; exit $?")  # what is begun directly still may have them
    assert runtime.execute(container, *by_a_shell).exit_code == int(no_new_privs)

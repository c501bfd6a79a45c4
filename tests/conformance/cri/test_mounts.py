"""Volumes: host paths, read-only, propagation, what lies below; images as volumes; devices; the root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri

libc = ctypes.CDLL(None, use_errno=True)
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED, MNT_DETACH = 0x1000, 0x4000, 1 << 18, 1 << 20, 2
IMAGES = pytest.mark.containerd_lacks("images as volumes are of CRI 1.31 and later")
RECURSIVE = pytest.mark.containerd_lacks("recursively read-only mounts are of CRI 1.30 and later")
PRIVILEGED = cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(privileged=True))
PRIVILEGED_POD = cri.LinuxPodSandboxConfig(security_context=cri.LinuxSandboxSecurityContext(privileged=True))


def mount(source: str, target: Path, kind: str, flags: int) -> None:
    if libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A directory that is a mount point of its own."""
    path = tmp_path / "volume"
    path.mkdir()
    mount(str(path), path, "", MS_BIND)
    mount("", path, "", MS_PRIVATE | MS_REC)
    (path / "file").write_text("from the host\n")
    try:
        yield path
    finally:
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            if line.split()[4].startswith(f"{path}"):
                libc.umount2(line.split()[4].encode(), MNT_DETACH)


def test_a_host_path_is_seen_and_written(runtime: Any, volume: Path) -> None:
    mounts = [cri.Mount(host_path=str(volume), container_path="/in/the/container")]
    container = runtime.sleeper(runtime.pod(), mounts=mounts)
    assert runtime.output(container, "cat", "/in/the/container/file") == "from the host\n"
    runtime.output(container, "touch", "/in/the/container/new")
    assert (volume / "new").exists()
    (told,) = runtime.status(container).mounts
    assert (told.host_path, told.container_path, told.readonly) == (str(volume), "/in/the/container", False)


def test_a_symbolic_link_of_the_host_is_followed(runtime: Any, volume: Path) -> None:
    link = volume.with_name("link")
    link.symlink_to(volume)
    container = runtime.sleeper(runtime.pod(), mounts=[cri.Mount(host_path=str(link), container_path="/v")])
    assert runtime.output(container, "cat", "/v/file") == "from the host\n"


def test_a_single_file_is_mounted(runtime: Any, volume: Path) -> None:
    mounts = [cri.Mount(host_path=str(volume / "file"), container_path="/etc/single", readonly=True)]
    container = runtime.sleeper(runtime.pod(), mounts=mounts)
    assert runtime.output(container, "cat", "/etc/single") == "from the host\n"


def test_a_read_only_mount_is_not_written(runtime: Any, volume: Path) -> None:
    container = runtime.sleeper(
        runtime.pod(), mounts=[cri.Mount(host_path=str(volume), container_path="/v", readonly=True)]
    )
    answer = runtime.execute(container, "touch", "/v/new")
    assert answer.exit_code != 0 and b"Read-only file system" in answer.stderr
    assert runtime.status(container).mounts[0].readonly


def test_a_mount_hides_the_images_files(runtime: Any, volume: Path) -> None:
    container = runtime.sleeper(runtime.pod(), mounts=[cri.Mount(host_path=str(volume), container_path="/www")])
    assert runtime.output(container, "ls", "/www") == "file\n"


def test_mounts_inside_mounts_come_in_order(runtime: Any, volume: Path) -> None:
    inner = volume.with_name("inner")
    inner.mkdir()
    (inner / "deep").write_text("deep\n")
    mounts = [
        cri.Mount(host_path=str(inner), container_path="/a/b"),
        cri.Mount(host_path=str(volume), container_path="/a"),
    ]
    container = runtime.sleeper(runtime.pod(), mounts=mounts)
    assert runtime.output(container, "cat", "/a/file", "/a/b/deep") == "from the host\ndeep\n"


def test_a_host_path_that_is_missing_becomes_a_directory(runtime: Any, volume: Path) -> None:
    mounts = [cri.Mount(host_path=str(volume / "missing/below"), container_path="/v")]
    container = runtime.sleeper(runtime.pod(), mounts=mounts)
    runtime.output(container, "touch", "/v/new")
    assert (volume / "missing/below/new").exists()


@pytest.mark.knarr_only
def test_a_host_path_that_cannot_be_is_refused(runtime: Any, volume: Path) -> None:
    pod = runtime.pod()
    mounts = [cri.Mount(host_path=str(volume / "file/below"), container_path="/v")]
    error = runtime.refused(lambda: runtime.create(pod, "true", mounts=mounts))
    assert "file/below" in error.details()


@pytest.mark.parametrize(
    ("propagation", "host_to_container", "container_to_host"),
    [
        (cri.PROPAGATION_PRIVATE, False, False),
        (cri.PROPAGATION_HOST_TO_CONTAINER, True, False),
        (cri.PROPAGATION_BIDIRECTIONAL, True, True),
    ],
)
def test_mount_propagation(
    runtime: Any, volume: Path, propagation: Any, host_to_container: bool, container_to_host: bool
) -> None:
    if propagation != cri.PROPAGATION_PRIVATE:
        mount("", volume, "", MS_SHARED | MS_REC)
    source = volume.with_name("source")
    source.mkdir()
    (source / "flag").touch()
    for name in ("from-host", "from-container"):
        (volume / name).mkdir()
    mounts = [cri.Mount(host_path=str(volume), container_path="/v", propagation=propagation)]
    container = runtime.sleeper(runtime.pod(linux=PRIVILEGED_POD), mounts=mounts, linux=PRIVILEGED)
    assert runtime.status(container).mounts[0].propagation == propagation
    mount(str(source), volume / "from-host", "", MS_BIND)
    assert bool(runtime.output(container, "ls", "/v/from-host")) == host_to_container
    runtime.output(container, "mount", "--bind", "/etc", "/v/from-container")
    assert bool(list((volume / "from-container").iterdir())) == container_to_host


def with_tmpfs(volume: Path) -> None:
    (volume / "tmpfs").mkdir()
    mount("none", volume / "tmpfs", "tmpfs", 0)


def test_read_only_does_not_reach_mounts_below(runtime: Any, volume: Path) -> None:
    with_tmpfs(volume)
    mounts = [cri.Mount(host_path=str(volume), container_path="/v", readonly=True)]
    container = runtime.sleeper(runtime.pod(), mounts=mounts)
    runtime.output(container, "touch", "/v/tmpfs/file")


@RECURSIVE
def test_recursively_read_only_does(runtime: Any, volume: Path) -> None:
    with_tmpfs(volume)
    mounts = [cri.Mount(host_path=str(volume), container_path="/v", readonly=True, recursive_read_only=True)]
    container = runtime.sleeper(runtime.pod(), mounts=mounts)
    answer = runtime.execute(container, "touch", "/v/tmpfs/file")
    assert answer.exit_code != 0 and b"Read-only file system" in answer.stderr
    handlers = {h.name: h.features for h in runtime.runtime.Status(cri.StatusRequest()).runtime_handlers}
    assert handlers[""].recursive_read_only_mounts


@RECURSIVE
@pytest.mark.parametrize(
    "wrong",
    [
        {"readonly": False},
        {"readonly": True, "propagation": cri.PROPAGATION_HOST_TO_CONTAINER},
        {"readonly": True, "propagation": cri.PROPAGATION_BIDIRECTIONAL},
    ],
)
def test_recursively_read_only_needs_a_private_read_only_mount(runtime: Any, volume: Path, wrong: Any) -> None:
    mount("", volume, "", MS_SHARED | MS_REC)
    mounts = [cri.Mount(host_path=str(volume), container_path="/v", recursive_read_only=True, **wrong)]
    pod = runtime.pod()
    runtime.refused(lambda: runtime.create(pod, "true", mounts=mounts))


# Images as volumes


def image_mount(runtime: Any, name: str, **more: Any) -> Any:
    spec = cri.ImageSpec(image=runtime.image(name), user_specified_image=runtime.image(name))
    return cri.Mount(container_path="/image", image=spec, **{"readonly": True, **more})


@IMAGES
def test_an_image_is_a_volume_read_only_and_executable(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), mounts=[image_mount(runtime, "different:3")])
    assert runtime.output(container, "cat", "/image/which") == "3"
    assert runtime.output(container, "/image/bin/busybox", "echo", "runs") == "runs\n"
    answer = runtime.execute(container, "touch", "/image/new")
    assert answer.exit_code != 0 and b"Read-only file system" in answer.stderr


@IMAGES
def test_status_tells_the_volumes_image(runtime: Any) -> None:
    container = runtime.create(runtime.pod(), "true", mounts=[image_mount(runtime, "different:3")])
    (told,) = runtime.status(container).mounts
    image = runtime.images.ImageStatus(
        cri.ImageStatusRequest(image=cri.ImageSpec(image=runtime.image("different:3")))
    ).image
    assert told.image.image_ref == image.id


@IMAGES
def test_a_part_of_an_image_is_a_volume(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), mounts=[image_mount(runtime, "entry:1", image_sub_path="declared")])
    assert runtime.output(container, "cat", "/image/from-image") == "kept\n"


@IMAGES
@pytest.mark.parametrize(
    "wrong", [{"image_sub_path": "missing"}, {"image_sub_path": "../etc"}, {"readonly": False}, {"host_path": "/tmp"}]
)
def test_an_image_volume_that_cannot_be_is_refused(runtime: Any, wrong: Any) -> None:
    pod = runtime.pod()
    mounts = [image_mount(runtime, "entry:1", **wrong)]
    runtime.images.ImageStatus(cri.ImageStatusRequest(image=mounts[0].image))
    error = runtime.refused(lambda: runtime.create(pod, "true", mounts=mounts))
    assert "unsupported" not in error.details() and "image" in error.details()


@pytest.mark.knarr_only
def test_an_image_in_use_as_a_volume_is_not_removed(runtime: Any) -> None:
    runtime.create(runtime.pod(), "true", mounts=[image_mount(runtime, "different:3")])
    request = cri.RemoveImageRequest(image=cri.ImageSpec(image=runtime.image("different:3")))
    runtime.refused(lambda: runtime.images.RemoveImage(request))


# Devices and the root


def test_a_device_is_made_with_its_permissions(runtime: Any) -> None:
    devices = [cri.Device(host_path="/dev/null", container_path="/dev/nothing", permissions="rw")]
    container = runtime.sleeper(runtime.pod(), devices=devices)
    assert runtime.output(container, "sh", "-c", "echo x > /dev/nothing; cat /dev/nothing") == ""


def test_a_directory_of_devices_is_all_of_them(runtime: Any, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name, minor in (("none", 3), ("deep/zero", 5)):
        os.mknod(tmp_path / name, 0o020666, os.makedev(1, minor))
    devices = [cri.Device(host_path=str(tmp_path), container_path="/dev/mine", permissions="rw")]
    container = runtime.sleeper(runtime.pod(), devices=devices)
    assert runtime.output(container, "sh", "-c", "cat /dev/mine/none; head -c 3 /dev/mine/deep/zero") == "\0\0\0"


def test_what_a_container_writes_is_its_own(runtime: Any) -> None:
    pod = runtime.pod()
    first, second = runtime.sleeper(pod), runtime.sleeper(pod)
    runtime.output(first, "sh", "-c", "echo mine > /etc/passwd; rm /etc/group; touch /new")
    assert "root" in runtime.output(second, "cat", "/etc/passwd")
    assert runtime.execute(second, "test", "-e", "/etc/group").exit_code == 0
    assert runtime.execute(second, "test", "-e", "/new").exit_code == 1


def test_a_volume_that_the_image_declares_is_filled_from_it(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod(), image="entry:1")
    assert runtime.output(container, "cat", "/declared/from-image") == "kept\n"
    runtime.output(container, "touch", "/declared/new")


def test_a_read_only_root_is_not_written(runtime: Any) -> None:
    container = runtime.secure(runtime.pod(), readonly_rootfs=True)
    answer = runtime.execute(container, "touch", "/new")
    assert answer.exit_code != 0 and b"Read-only file system" in answer.stderr
    runtime.output(container, "touch", "/dev/shm/written")

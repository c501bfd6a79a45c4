"""Volumes that need mounts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, EmptyDirVolumeSource, Pod, PodSpec, Volume, VolumeMount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent import kernel
from knarr_node_agent.environment import Sources
from knarr_node_agent.volumes import Volumes

pytestmark = pytest.mark.root


def a_pod(volume: Volume, *mounts: VolumeMount) -> Pod:
    container = Container(name="main", volume_mounts=mounts)
    return Pod(
        metadata=ObjectMeta(name="p", namespace="default", uid="u1"),
        spec=PodSpec(containers=(container,), volumes=(volume,)),
    )


def test_empty_dir_in_memory_has_its_size_and_leaves_nothing(a_mountns: Callable[[], Any], tmp_path: Path) -> None:
    def scenario() -> None:
        volumes = Volumes(tmp_path / "pods", tmp_path / "secrets")
        volumes.open()
        volumes.open()
        assert kernel.is_mount_point(tmp_path / "secrets")
        source = EmptyDirVolumeSource(medium="Memory", size_limit=Quantity("1Mi"))
        pod = a_pod(Volume(name="v", empty_dir=source), VolumeMount(name="v", mount_path="/v"))
        volumes.prepare(pod, Sources())
        volumes.prepare(pod, Sources())
        (mount,) = volumes.mounts(pod, pod.spec.containers[0], {})
        assert [point for point in kernel.mount_points() if point == mount.host_path] == [mount.host_path]
        with pytest.raises(OSError, match="No space left"):
            (Path(mount.host_path) / "big").write_bytes(b"x" * (2 << 20))
        volumes.remove("u1")
        assert not any("/u1/" in point for point in kernel.mount_points())
        assert volumes.uids() == set()

    a_mountns().run(scenario)


def test_sub_path_can_not_be_led_out_of_its_volume(a_mountns: Callable[[], Any], tmp_path: Path) -> None:
    def scenario() -> None:
        volumes = Volumes(tmp_path / "pods", tmp_path / "secrets")
        volumes.open()
        volume = Volume(name="v", empty_dir=EmptyDirVolumeSource())
        pod = a_pod(volume, VolumeMount(name="v", mount_path="/v", sub_path="a/b"))
        volumes.prepare(pod, Sources())
        (mount,) = volumes.mounts(pod, pod.spec.containers[0], {})
        (Path(mount.host_path) / "file").write_text("inside")
        inside = volumes.path(pod, volume)
        assert (inside / "a/b/file").read_text() == "inside"
        (mount,) = volumes.mounts(pod, pod.spec.containers[0], {})
        assert (Path(mount.host_path) / "file").read_text() == "inside", "a restart mounts it again"
        (inside / "evil").symlink_to("/etc")
        (inside / "up").symlink_to("../../../..")
        for path in ("evil", "evil/ssl", "up/x"):
            led = a_pod(volume, VolumeMount(name="v", mount_path="/v", sub_path=path))
            with pytest.raises(Invalid, match="leaves its volume"):
                volumes.mounts(led, led.spec.containers[0], {})
        (inside / "fine").symlink_to("a")
        good = a_pod(volume, VolumeMount(name="v", mount_path="/v", sub_path="fine/b"))
        (mount,) = volumes.mounts(good, good.spec.containers[0], {})
        assert (Path(mount.host_path) / "file").read_text() == "inside"
        volumes.remove("u1")
        assert not (tmp_path / "pods" / "u1").exists()

    a_mountns().run(scenario)

"""Volumes on a disk; what needs mounts is in tests/kernel/agent."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from knarr_api.errors import Invalid, NotFound
from knarr_api.types.core_v1 import (
    ConfigMap,
    ConfigMapProjection,
    ConfigMapVolumeSource,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    HostAlias,
    HostPathVolumeSource,
    KeyToPath,
    ObjectFieldSelector,
    Pod,
    ProjectedVolumeSource,
    Secret,
    SecretProjection,
    SecretVolumeSource,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.environment import Sources
from knarr_node_agent.pod_files import PodFiles, hosts_text
from knarr_node_agent.volumes import File, Volumes, write_atomically, written_files

MakePod = Callable[..., Pod]
SOURCES = Sources(
    config_maps={"c": ConfigMap(metadata=ObjectMeta(name="c"), data={"a": "1", "b": "2"}, binary_data={"x": b"\xff"})},
    secrets={"s": Secret(metadata=ObjectMeta(name="s"), data={"p": b"hush"})},
)


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    (tmp_path / "pods").mkdir()
    (tmp_path / "secrets").mkdir()
    return Volumes(tmp_path / "pods", tmp_path / "secrets")


def test_config_map_is_files_that_change_together(volumes: Volumes, a_pod: MakePod, tmp_path: Path) -> None:
    pod = a_pod(volumes=(Volume(name="v", config_map=ConfigMapVolumeSource(name="c")),))
    volumes.prepare(pod, SOURCES)
    directory = tmp_path / "pods" / "u1" / "volumes" / "v"
    assert {p.name: p.read_bytes() for p in directory.iterdir() if not p.name.startswith("..")} == {
        "a": b"1",
        "b": b"2",
        "x": b"\xff",
    }
    first = os.readlink(directory / "..data")
    volumes.prepare(pod, SOURCES)
    assert os.readlink(directory / "..data") == first, "nothing changed"
    changed = Sources(config_maps={"c": ConfigMap(data={"a": "3"})})
    volumes.prepare(pod, changed)
    assert (directory / "a").read_text() == "3"
    assert sorted(p.name for p in directory.iterdir() if not p.name.startswith("..")) == ["a"]
    assert sum(p.is_dir() and not p.is_symlink() for p in directory.iterdir()) == 1


def test_items_modes_and_missing_keys(a_pod: MakePod) -> None:
    items = (KeyToPath(key="a", path="deep/er/name", mode=0o400),)
    volume = Volume(name="v", config_map=ConfigMapVolumeSource(name="c", items=items, default_mode=0o600))
    assert written_files(a_pod(), volume, SOURCES) == (File("deep/er/name", b"1", 0o400),)
    lost = Volume(name="v", config_map=ConfigMapVolumeSource(name="c", items=(KeyToPath(key="z", path="z"),)))
    with pytest.raises(NotFound, match="no key z"):
        written_files(a_pod(), lost, SOURCES)
    optional = Volume(name="v", secret=SecretVolumeSource(secret_name="none", optional=True))
    assert written_files(a_pod(), optional, SOURCES) == ()


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "..data/x", ""])
def test_paths_that_leave_the_volume_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Invalid):
        write_atomically(tmp_path, (File(path, b"", 0o644),))
    assert not (tmp_path.parent / "x").exists()


def test_projected_volume_holds_all_its_sources_and_secrets_stay_in_memory(
    volumes: Volumes, a_pod: MakePod, tmp_path: Path
) -> None:
    name = DownwardAPIVolumeFile(path="name", field_ref=ObjectFieldSelector(field_path="metadata.name"))
    sources = (
        VolumeProjection(config_map=ConfigMapProjection(name="c", items=(KeyToPath(key="a", path="cm"),))),
        VolumeProjection(secret=SecretProjection(name="s")),
        VolumeProjection(downward_api=DownwardAPIProjection(items=(name,))),
    )
    volume = Volume(name="v", projected=ProjectedVolumeSource(sources=sources, default_mode=0o440))
    volumes.prepare(a_pod(volumes=(volume,)), SOURCES)
    directory = tmp_path / "secrets" / "u1" / "volumes" / "v"
    assert {n: (directory / n).read_text() for n in ("cm", "p", "name")} == {"cm": "1", "p": "hush", "name": "web"}
    assert stat.S_IMODE((directory / "p").stat().st_mode) == 0o440
    assert not (tmp_path / "pods" / "u1").exists()


def test_host_path_types(volumes: Volumes, a_pod: MakePod, tmp_path: Path) -> None:
    def prepare(path: Path, kind: str) -> None:
        source = HostPathVolumeSource(path=str(path), type=kind)
        volumes.prepare(a_pod(volumes=(Volume(name="h", host_path=source),)), SOURCES)

    prepare(tmp_path / "new", "DirectoryOrCreate")
    assert (tmp_path / "new").is_dir()
    prepare(tmp_path / "file", "FileOrCreate")
    prepare(tmp_path / "file", "File")
    with pytest.raises(Invalid, match="is not a Directory"):
        prepare(tmp_path / "file", "Directory")
    with pytest.raises(NotFound, match="does not exist"):
        prepare(tmp_path / "none", "")


def test_unsupported_volume_is_said(volumes: Volumes, a_pod: MakePod) -> None:
    with pytest.raises(Invalid, match="not supported"):
        volumes.prepare(a_pod(volumes=(Volume(name="v"),)), SOURCES)


def test_mounts_of_a_container(volumes: Volumes, a_pod: MakePod, tmp_path: Path) -> None:
    mounts = (
        VolumeMount(name="c", mount_path="/c"),
        VolumeMount(name="c", mount_path="/one", sub_path="a"),
        VolumeMount(name="e", mount_path="/e"),
    )
    container = Container(name="main", volume_mounts=mounts)
    pod = a_pod(
        container,
        volumes=(
            Volume(name="c", config_map=ConfigMapVolumeSource(name="c")),
            Volume(name="e", empty_dir=EmptyDirVolumeSource()),
        ),
    )
    volumes.prepare(pod, SOURCES)
    whole, one, empty = volumes.mounts(pod, container, {})
    assert (whole.container_path, whole.readonly) == ("/c", True)
    assert Path(one.host_path).read_text() == "1"
    assert (empty.readonly, stat.S_IMODE(Path(empty.host_path).stat().st_mode)) == (False, 0o777)
    with pytest.raises(NotFound, match="no such file"):
        volumes.mounts(pod, Container(name="x", volume_mounts=(VolumeMount(name="c", sub_path="zz"),)), {})
    with pytest.raises(Invalid, match="no volume"):
        volumes.mounts(pod, Container(name="x", volume_mounts=(VolumeMount(name="other", mount_path="/"),)), {})
    volumes.remove("u1")
    assert volumes.uids() == set()
    assert not (tmp_path / "pods" / "u1").exists()


def test_hosts_file_of_a_pod(a_pod: MakePod) -> None:
    text = hosts_text(a_pod(host_aliases=(HostAlias(ip="192.0.2.7", hostnames=("a", "b")),)), "10.0.0.2")
    assert "10.0.0.2\tweb\n" in text
    assert "192.0.2.7\ta b\n" in text
    assert text.startswith("# managed by the node agent\n127.0.0.1\tlocalhost\n")


def test_last_words_and_the_log_instead(a_pod: MakePod, tmp_path: Path) -> None:
    container = Container(name="main", termination_message_policy="FallbackToLogsOnError")
    pod, files = a_pod(container), PodFiles(tmp_path)
    mounts = {mount.container_path: mount.host_path for mount in files.mounts(pod, container, 0, "10.0.0.2")}
    assert set(mounts) == {"/etc/hosts", "/dev/termination-log"}
    log = tmp_path / "0.log"
    log.write_text("2030-01-01T00:00:00Z stdout F first\n2030-01-01T00:00:01Z stderr F panic: no\n")
    assert files.last_words("u1", container, 0, failed=True, log=log) == "first\npanic: no"
    assert files.last_words("u1", container, 0, failed=False, log=log) == ""
    Path(mounts["/dev/termination-log"]).write_text("x" * 5000)
    assert len(files.last_words("u1", container, 0, failed=True, log=log)) == 4096


def test_last_words_do_not_follow_links(a_pod: MakePod, tmp_path: Path) -> None:
    container = Container(name="main")
    pod, files = a_pod(container), PodFiles(tmp_path)
    path = Path(files.mounts(pod, container, 0, "")[1].host_path)
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert files.last_words("u1", container, 0, failed=True, log=None) == ""

"""Images: what is imported is what was in the archive, and nothing of a hostile one leaves the store."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images import names
from knarr_runtime.images.store import ImageStore

Entry = tuple[tarfile.TarInfo, bytes]


def file(name: str, data: bytes = b"", **more: Any) -> Entry:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def special(name: str, kind: bytes, link: str = "", **more: Any) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o755
    for key, value in more.items():
        setattr(info, key, value)
    return info, b""


def tar(*entries: Entry) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def docker(
    *layers: bytes, tags: tuple[str, ...] = ("app:1",), diff_ids: list[str] | None = None, **config: Any
) -> bytes:
    raw = json.dumps(
        {"config": config, "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(layer) for layer in layers]}}
    ).encode()
    manifest = [{"Config": "c.json", "RepoTags": list(tags), "Layers": [f"{i}.tar" for i in range(len(layers))]}]
    parts = [file("c.json", raw), file("manifest.json", json.dumps(manifest).encode())]
    return tar(*parts, *(file(f"{i}.tar", layer) for i, layer in enumerate(layers)))


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def load(store: ImageStore, archive: bytes) -> Any:
    return store.import_archive(io.BytesIO(archive))[0]


def test_a_docker_archive(store: ImageStore) -> None:
    layer = tar(
        file("bin/app", b"x", mode=0o4755), special("link", tarfile.SYMTYPE, "/etc"), special("d", tarfile.DIRTYPE)
    )
    image = load(store, docker(layer, Cmd=["app"], Env=["A=b"], User="1:2"))
    assert image.names == ("docker.io/library/app:1",) and image.config.cmd == ("app",) and image.config.user == "1:2"
    root = Path(store.layer_paths(image)[0])
    assert (root / "bin/app").read_bytes() == b"x" and stat.S_IMODE((root / "bin/app").stat().st_mode) == 0o4755
    assert os.readlink(root / "link") == "/etc" and (root / "d").is_dir()


def test_an_oci_layout_with_gzip_and_platforms(store: ImageStore) -> None:
    layer = tar(file("a", b"1"))
    blobs: dict[str, bytes] = {}

    def blob(data: bytes) -> dict[str, Any]:
        blobs[digest(data)] = data
        return {"digest": digest(data), "size": len(data)}

    config = blob(json.dumps({"rootfs": {"diff_ids": [digest(layer)]}}).encode())
    manifest = blob(json.dumps({"config": config, "layers": [blob(gzip.compress(layer))]}).encode())
    other = blob(json.dumps({"config": config, "layers": []}).encode())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    index = blob(
        json.dumps(
            {
                "manifests": [
                    {**other, "platform": {"os": "linux", "architecture": "riscv64"}},
                    {**manifest, "platform": {"os": "linux", "architecture": machine}},
                ]
            }
        ).encode()
    )
    top = {"manifests": [{**index, "annotations": {"org.opencontainers.image.ref.name": "ghost:2"}}]}
    archive = tar(
        file("index.json", json.dumps(top).encode()),
        *(file(f"blobs/sha256/{name.removeprefix('sha256:')}", data) for name, data in blobs.items()),
    )
    image = load(store, archive)
    assert image.names == ("docker.io/library/ghost:2",)
    assert (Path(store.layer_paths(image)[0]) / "a").read_bytes() == b"1"


def test_layers_are_shared_names_move_and_all_survives_a_restart(store: ImageStore) -> None:
    base, top = tar(file("a", b"1")), tar(file("b", b"2"))
    first = load(store, docker(base))
    second = load(store, docker(base, top))
    assert second.layers[0] == first.layers[0] and store.find("app:1").id == second.id
    assert store.layer_paths(second)[0].endswith(f"{second.layers[1]}/fs"), "the topmost layer first"
    again = ImageStore(store.root)
    assert again.find("app:1").id == second.id and again.find(first.id).names == ()
    with pytest.raises(Invalid, match="in use"):
        again.remove("app:1", [second.id])
    again.remove("app:1", [])
    again.remove(first.id, [])
    assert list((store.root / "layers").iterdir()) == []
    with pytest.raises(NotFound, match="knarr image import"):
        again.find("app:1")


def test_whiteouts_become_overlayfs_own(store: ImageStore) -> None:
    layer = tar(special("d", tarfile.DIRTYPE), file("d/.wh.gone"), file("d/.wh..wh..opq"))
    root = Path(store.layer_paths(load(store, docker(layer)))[0])
    gone = (root / "d/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(root / "d", "trusted.overlay.opaque") == b"y"


def test_hard_links_inside_the_layer(store: ImageStore) -> None:
    layer = tar(file("a", b"1"), special("b", tarfile.LNKTYPE, "a"))
    root = Path(store.layer_paths(load(store, docker(layer)))[0])
    assert (root / "a").stat().st_ino == (root / "b").stat().st_ino


HOSTILE: dict[str, Callable[[str], bytes]] = {
    "dotdot": lambda outside: docker(tar(file(f"../../../../../../../..{outside}/evil", b"x"))),
    "hard link out": lambda outside: docker(
        tar(special("b", tarfile.LNKTYPE, f"../../../../../../..{outside}/canary"))
    ),
    "hard link absolute": lambda outside: docker(tar(special("b", tarfile.LNKTYPE, f"{outside}/canary"))),
    "hard link through symlink": lambda outside: docker(
        tar(special("s", tarfile.SYMTYPE, outside), special("b", tarfile.LNKTYPE, "s/canary"))
    ),
    "unknown type": lambda outside: docker(tar(special("b", b"Z"))),
    "wrong digest": lambda outside: docker(tar(file("a", b"1")), diff_ids=["sha256:" + "0" * 64]),
    "digest as path": lambda outside: docker(tar(file("a", b"1")), diff_ids=["sha256:../../x"]),
    "truncated": lambda outside: docker(tar(file("a", b"1" * 5000))[:2000]),
    "directory replaced by a file": lambda outside: docker(tar(special("d", tarfile.DIRTYPE), file("d/x"), file("d"))),
    "whiteout of the parent": lambda outside: docker(tar(file(".wh...", b""))),
    "no manifest": lambda outside: tar(file("x", b"1")),
    "not an archive": lambda outside: b"hello" * 1000,
    "manifest of rubbish": lambda outside: tar(file("manifest.json", b"[1]")),
    "too many layers": lambda outside: docker(*[tar()] * 200),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused_and_leave_nothing(store: ImageStore, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_text("safe")
    with pytest.raises(Invalid):
        load(store, HOSTILE[name](str(outside)))
    assert [p.name for p in outside.iterdir()] == ["canary"] and (outside / "canary").stat().st_nlink == 1
    assert store.images() == () and list((store.root / "tmp").iterdir()) == []
    load(store, docker(tar(file("a", b"1"))))


def test_links_in_the_way_do_not_lead_outside(store: ImageStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layer = tar(
        special("s", tarfile.SYMTYPE, str(outside)),
        file("s/evil", b"x"),
        file("/abs", b"y"),
    )
    try:
        root = Path(store.layer_paths(load(store, docker(layer)))[0])
        assert (root / "abs").read_bytes() == b"y"
    except Invalid:
        pass
    assert list(outside.iterdir()) == [] and not Path("/abs").exists()


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("knarr/busybox:1", "docker.io/knarr/busybox:1"),
        ("localhost/x", "localhost/x:latest"),
        ("r.example:5000/a/b:t", "r.example:5000/a/b:t"),
        ("a@sha256:" + "0" * 64, "docker.io/library/a@sha256:" + "0" * 64),
    ],
)
def test_names_are_dockers(given: str, full: str) -> None:
    assert names.normalise(given) == full


@pytest.mark.parametrize("given", ["", "UPPER", "a:", "a:b:c", "a@sha256:1", "a b", "x" * 400, "-a", "a//b"])
def test_names_that_are_none(given: str) -> None:
    with pytest.raises(Invalid):
        names.normalise(given)

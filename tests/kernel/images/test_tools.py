"""Archives that other tools write are taken: gzip and zstd, several images and platforms; the same files come out."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.images.store import ImageStore

FORMS = ("docker-archive", "oci-archive")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """podman and buildah with a storage of their own; skopeo needs none."""
    state = tempfile.mkdtemp(prefix="kn-")  # podman wants it short
    storage = ["--root", f"{tmp_path}/root", "--runroot", state, "--storage-driver", "vfs"]

    def tool(name: str, *words: object) -> str:
        own = [] if name == "skopeo" else storage
        done = subprocess.run([name, *own, *map(str, words)], capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield tool
    subprocess.run(["rm", "-rf", tmp_path / "root", state], check=True)


@pytest.fixture
def archive(tmp_path: Path, make: Any, pack: Any, docker: Any) -> Path:
    """Two layers; the upper one takes away and replaces."""
    directory = tarfile.DIRTYPE
    lower = pack(make("d", kind=directory), make("d/old", b"1"), make("gone", b"1"), make("etc", kind=directory))
    upper = pack(
        make("d", kind=directory), make("d/.wh.old"), make(".wh.gone"), make("setuid", b"2", mode=0o4755, uid=7)
    )
    path = tmp_path / "first.tar"
    path.write_bytes(docker(lower, upper, tag="localhost/first:1"))
    return path


def layers(store: ImageStore, reference: str, look: Any) -> list[Any]:
    """Without times of directories, which some tools set anew."""
    found = []
    for path in store.layer_paths(store.find(reference)):
        tree = look(Path(path))
        found.append({name: one[:2] + one[3:] for name, one in tree.items()})
    return found


@pytest.fixture
def wanted(archive: Path, tmp_path: Path, look: Any) -> list[Any]:
    store = ImageStore(tmp_path / "wanted")
    with archive.open("rb") as file:
        store.import_archive(file)
    return layers(store, "localhost/first:1", look)


@pytest.mark.parametrize("form", FORMS)
def test_podman_save(
    run: Any, store: ImageStore, archive: Path, wanted: list[Any], look: Any, tmp_path: Path, form: str
) -> None:
    run("podman", "load", "-q", "-i", archive)
    run("podman", "save", "-q", "--format", form, "-o", tmp_path / "out.tar", "localhost/first:1")
    with (tmp_path / "out.tar").open("rb") as file:
        store.import_archive(file)
    assert layers(store, "localhost/first:1", look) == wanted


def test_podman_save_of_several_that_share_layers(run: Any, store: ImageStore, archive: Path, tmp_path: Path) -> None:
    run("podman", "load", "-q", "-i", archive)
    container = run("buildah", "from", "--pull-never", "localhost/first:1")
    run("buildah", "config", "--env", "A=1", container)
    run("buildah", "commit", "-q", container, "localhost/second:1")
    out = tmp_path / "out.tar"
    run(
        "podman", "save", "-q", "--format", "docker-archive", "-m", "-o", out, "localhost/first:1", "localhost/second:1"
    )
    with out.open("rb") as file:
        store.import_archive(file)
    first, second = store.find("localhost/first:1"), store.find("localhost/second:1")
    assert first.id != second.id and second.layers[: len(first.layers)] == first.layers


@pytest.mark.parametrize("form", FORMS)
def test_buildah_push(
    run: Any, store: ImageStore, archive: Path, wanted: list[Any], look: Any, tmp_path: Path, form: str
) -> None:
    run("podman", "load", "-q", "-i", archive)
    run("buildah", "push", "-q", "localhost/first:1", f"{form}:{tmp_path}/out.tar:localhost/first:1")
    with (tmp_path / "out.tar").open("rb") as file:
        store.import_archive(file)
    assert layers(store, "localhost/first:1", look) == wanted


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("form", FORMS)
def test_skopeo_copy(
    run: Any,
    store: ImageStore,
    archive: Path,
    wanted: list[Any],
    look: Any,
    tmp_path: Path,
    form: str,
    compression: str,
) -> None:
    options = ["--dest-compress-format", compression, "--dest-compress"] if form == "oci-archive" else []
    run("skopeo", "copy", "-q", *options, f"docker-archive:{archive}", f"{form}:{tmp_path}/out.tar:localhost/first:1")
    with (tmp_path / "out.tar").open("rb") as file:
        (image,) = store.import_archive(file)
    assert layers(store, "localhost/first:1", look) == wanted
    if form == "oci-archive":
        manifest = json.loads(store.blob(image.manifest_digest).read_bytes())
        assert all(layer["mediaType"].endswith(f"+{compression}") for layer in manifest["layers"])


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd"])
def test_archives_that_are_compressed_as_a_whole(store: ImageStore, archive: Path, packer: str) -> None:
    data = subprocess.run([packer, "-c"], input=archive.read_bytes(), capture_output=True, check=True).stdout
    store.import_archive(io.BytesIO(data))
    assert store.find("localhost/first:1").names
    assert os.listdir(store.root / "tmp") == []


def test_layouts_in_layouts_by_platform(run: Any, store: ImageStore, archive: Path, tmp_path: Path) -> None:
    """An index in the index, the first platform another one's."""
    layout = tmp_path / "layout"
    run("skopeo", "copy", "-q", f"docker-archive:{archive}", f"oci:{layout}:localhost/first:1")
    index = json.loads((layout / "index.json").read_text())
    own = index["manifests"][0]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    offers = [
        {**own, "digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "s390x"}},
        {**own, "annotations": {}, "platform": {"os": "linux", "architecture": machine}},
    ]
    inner = json.dumps({"schemaVersion": 2, "manifests": offers}).encode()
    digest = hashlib.sha256(inner).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(inner)
    described = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": f"sha256:{digest}",
        "size": len(inner),
        "annotations": own["annotations"],
    }
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    packed = subprocess.run(["tar", "-C", layout, "-cf", "-", "."], capture_output=True, check=True).stdout
    (image,) = store.import_archive(io.BytesIO(packed))
    assert image.names == ("localhost/first:1",) and image.manifest_digest == own["digest"]

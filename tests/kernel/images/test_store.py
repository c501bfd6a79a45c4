"""The store is usable after kill -9 at any point, and while several change it at once."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.images.store import Image, ImageStore

IMPORT = """
import os, signal, sys
from pathlib import Path
from knarr_runtime.images.store import ImageStore

at, count, armed = int(sys.argv[3]), 0, True

def step(event, arguments):
    global count
    if armed and (event == "open" or event.startswith(("os.", "shutil.", "tempfile."))):
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
with open(sys.argv[2], "rb") as archive:
    ImageStore(Path(sys.argv[1])).import_archive(archive)
armed = False
print(count)
"""
"""Kills itself just before the operation on files with a certain number; 0: tells how many there are."""
LAST = 45
"""Operations at the end, each of them tried: the last layer gets its name, the list is written."""
ROUNDS = 40
"""Of those before, some by chance."""


def bring(root: Path, archive: Path, at: int) -> int:
    """How many operations there were; 0 when it was killed."""
    program = [sys.executable, "-c", IMPORT, root, archive, str(at)]
    done = subprocess.run(program, capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return int(done.stdout) if done.returncode == 0 else 0


@pytest.fixture
def archive(tmp_path: Path, make: Any, pack: Any, docker: Any) -> Path:
    """Three layers of some files."""
    layers = [
        pack(
            make(f"{number}", kind=tarfile.DIRTYPE),
            *(make(f"{number}/{one}", os.urandom(12_000)) for one in range(60)),
            make("same", b"%d" % number),
        )
        for number in range(3)
    ]
    path = tmp_path / "archive.tar"
    path.write_bytes(docker(*layers))
    return path


def kept(store: ImageStore) -> set[str]:
    """Names of all files beside those of layers."""
    return {
        str(path.relative_to(store.root))
        for path in store.root.rglob("*")
        if "fs" not in path.relative_to(store.root).parts
    }


def contents(store: ImageStore, look: Any) -> list[Any]:
    return [look(Path(layer)) for image in store.images() for layer in store.layer_paths(image)]


def test_killed_at_any_point_it_is_usable(tmp_path: Path, archive: Path, look: Any) -> None:
    total = bring(tmp_path / "clean", archive, 0)
    clean = ImageStore(tmp_path / "clean")
    wanted = contents(clean, look)
    seed = random.randrange(1 << 32)
    points = [*random.Random(seed).sample(range(1, total - LAST), ROUNDS), *range(total - LAST, total + 1)]
    for number, at in enumerate(points):
        root = tmp_path / f"store{number}"
        assert bring(root, archive, at) == 0
        said = f"killed before operation {at} of {total}, seed {seed}"
        store = ImageStore(root)
        assert contents(store, look) in ([], wanted), said
        assert list((root / "tmp").iterdir()) == [], said
        with archive.open("rb") as file:
            store.import_archive(file)
        store.prune((), everything=False)
        assert contents(store, look) == wanted, said
        assert kept(store) == kept(clean), said
        shutil.rmtree(root)


def test_two_imports_of_the_same_layers_at_once(store: ImageStore, archive: Path, look: Any) -> None:
    barrier = threading.Barrier(4)

    def once(_: int) -> Image:
        with archive.open("rb") as file:
            barrier.wait(10)
            return store.import_archive(file)[0]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(once, range(4)))
    assert len({image.id for image in found}) == 1 and len(store.images()) == 1
    assert [len(layer) for layer in contents(store, look)] == [62, 62, 62]
    assert list((store.root / "tmp").iterdir()) == []


def test_pruning_beside_imports_takes_nothing_they_need(
    store: ImageStore, make: Any, pack: Any, docker: Any, look: Any
) -> None:
    shared = pack(*(make(f"s/{one}", os.urandom(2_000)) for one in range(50)))
    done = threading.Event()

    def collect() -> None:
        while not done.is_set():
            store.prune((), everything=True)
            store.layer_bytes()

    def load(number: int) -> None:
        for each in range(6):
            own = pack(make("own", b"%d %d" % (number, each)))
            with store.lease():
                (image,) = store.import_archive(io.BytesIO(docker(shared, own, tag=f"i{number}:{each}")))
                top, bottom = store.layer_paths(image)
                assert (Path(top) / "own").read_bytes() == b"%d %d" % (number, each)
                assert len(os.listdir(Path(bottom) / "s")) == 50
                assert store.blob(image.manifest_digest).exists()

    with ThreadPoolExecutor(4) as threads:
        collecting = threads.submit(collect)
        try:
            for bringing in [threads.submit(load, number) for number in range(3)]:
                bringing.result()
        finally:
            done.set()
        collecting.result()
    store.prune((), everything=True)
    assert kept(store) == kept(ImageStore(store.root.parent / "empty")) | {"images.json"}


@pytest.mark.parametrize("damage", [b"", b"{", b"[" * 100_000, b"{}", b"\xff\xfe", b"null"])
def test_a_damaged_list_does_not_stop_the_store(store: ImageStore, archive: Path, damage: bytes) -> None:
    (store.root / "images.json").write_bytes(damage)
    again = ImageStore(store.root)
    assert again.images() == () and (store.root / "images.json.damaged").read_bytes() == damage
    with archive.open("rb") as file:
        again.import_archive(file)
    assert ImageStore(store.root).find("app:1")


def test_a_damaged_entry_costs_only_its_image(store: ImageStore, archive: Path) -> None:
    with archive.open("rb") as file:
        store.import_archive(file)
    (good,) = json.loads((store.root / "images.json").read_text())
    bad = [{}, None, 7, {**good, "id": "sha256:1", "unknown": 1}, {**good, "layers": 5}, {**good, "config": []}]
    (store.root / "images.json").write_text(json.dumps([*bad, good]))
    assert [image.id for image in ImageStore(store.root).images()] == [good["id"]]


def test_a_store_of_before_blobs_were_kept_is_taken_over(store: ImageStore, archive: Path) -> None:
    with archive.open("rb") as file:
        (image,) = store.import_archive(file)
    (entry,) = json.loads((store.root / "images.json").read_text())
    del entry["manifest_digest"]
    (store.root / "images.json").write_text(json.dumps([entry]))
    again = ImageStore(store.root)
    assert again.find("app:1").layers == image.layers and again.find("app:1").manifest_digest == ""


def test_an_image_whose_manifest_was_lost_does_not_stop_pruning(store: ImageStore, archive: Path) -> None:
    with archive.open("rb") as file:
        (image,) = store.import_archive(file)
    store.blob(image.manifest_digest).unlink()
    store.prune((), everything=True)
    assert store.images() == ()


def test_an_imported_image_is_found_by_the_digest_of_its_manifest(store: ImageStore, archive: Path) -> None:
    with archive.open("rb") as file:
        (image,) = store.import_archive(file)
    assert store.find(f"app@{image.manifest_digest}").id == image.id

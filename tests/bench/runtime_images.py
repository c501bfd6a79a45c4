"""Images: one large layer unpacked by us, by umoci and by podman, one after the other in each round; ratios of medians.

The layer is this machine's own /usr/lib/python3*, /usr/share/perl and /usr/share/doc, gzip-compressed, on a tmpfs.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from knarr_runtime.images.store import ImageStore

ROUNDS = 5
SOURCES = ("/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/perl", "/usr/share/doc")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layout(base: Path) -> tuple[Path, Path]:
    """An OCI layout as a directory and as a tar."""
    plain = base / "layer.tar"
    with tarfile.open(plain, "w") as archive:
        for source in filter(lambda path: Path(path).is_dir(), SOURCES):
            archive.add(source, source.lstrip("/"))
        entries = len(archive.getmembers())
    data = plain.read_bytes()
    plain.unlink()
    print(f"layer: {len(data) / 1e6:.0f} MB in {entries} entries")
    layer = gzip.compress(data, 6)
    rootfs = {"type": "layers", "diff_ids": [digest(data)]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": digest(layer), "size": len(layer)}],
        }
    ).encode()
    directory = base / "layout"
    (directory / "blobs/sha256").mkdir(parents=True)
    for blob in (layer, config, manifest):
        (directory / "blobs/sha256" / digest(blob)[7:]).write_bytes(blob)
    described = {"mediaType": MANIFEST, "digest": digest(manifest), "size": len(manifest)}
    described["annotations"] = {"org.opencontainers.image.ref.name": "big"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    packed = base / "layout.tar"
    with tarfile.open(packed, "w") as archive:
        for path in sorted(directory.rglob("*")):
            archive.add(path, str(path.relative_to(directory)), recursive=False)
    return directory, packed


def main() -> None:
    home = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="kb-", dir=home) as name:
        directory, packed = layout(Path(name))
        work = Path(name) / "work"

        def ours() -> None:
            with packed.open("rb") as file:
                ImageStore(work).import_archive(file)

        def umoci() -> None:
            run("umoci", "unpack", "--image", f"{directory}:big", work)

        def podman() -> None:
            options = ("--root", work / "r", "--runroot", f"{name}/u", "--storage-driver", "overlay")
            run("podman", *options, "load", "-i", packed)

        runners: dict[str, Callable[[], None]] = {"knarr": ours}
        runners |= {tool: run for tool, run in (("umoci", umoci), ("podman", podman)) if shutil.which(tool)}
        took: dict[str, list[float]] = {tool: [] for tool in runners}
        for _ in range(ROUNDS):
            for tool, unpack in runners.items():
                started = time.perf_counter()
                unpack()
                took[tool].append(time.perf_counter() - started)
                shutil.rmtree(work)
        own = statistics.median(took["knarr"])
        for tool, seconds in took.items():
            median = statistics.median(seconds)
            print(f"{tool:8} {median:6.2f} s  {median / own:5.2f} x our time")
        started = time.perf_counter()
        store = ImageStore(Path(name) / "again")
        with packed.open("rb") as file:
            store.import_archive(file)
        unpacked = time.perf_counter()
        store.add_image(store.images()[0].manifest_digest, ("second:1",))
        print(f"a second image of the same layers: {(time.perf_counter() - unpacked) * 1e3:.2f} ms, nothing copied")
        print(f"(the first took {unpacked - started:.2f} s)")


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


if __name__ == "__main__":
    main()

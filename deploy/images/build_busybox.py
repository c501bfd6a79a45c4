"""Makes the image ``knarr/busybox:1`` from the machine's own static busybox: ``build_busybox.py OUT.tar [BUSYBOX]``.

A docker-archive, the same bytes for the same busybox. Standard library only.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

NAME = "knarr/busybox:1"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


def main() -> int:
    """Exit status 1 when there is no busybox."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    found = sys.argv[2] if len(sys.argv) == 3 else shutil.which("busybox")
    if not found:
        print("no busybox found: install it (Debian: apt install busybox-static)", file=sys.stderr)
        return 1
    layer = build_layer(Path(found))
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    raw = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(raw).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    with tarfile.open(sys.argv[1], "w") as archive:
        add(archive, config_name, raw)
        add(archive, "layer.tar", layer)
        add(archive, "manifest.json", json.dumps(manifest).encode())
    return 0


def build_layer(busybox: Path) -> bytes:
    """The one layer: busybox, a link per applet, the few files that programs expect."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as layer:
        for directory in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var", "var/run"):
            add_directory(layer, directory, 0o755)
        add_directory(layer, "tmp", 0o1777)
        add(layer, "bin/busybox", busybox.read_bytes(), 0o755)
        applets = subprocess.run([busybox, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
            layer.addfile(link)
        add(layer, "etc/passwd", PASSWD.encode())
        add(layer, "etc/group", GROUP.encode())
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def add_directory(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


if __name__ == "__main__":
    sys.exit(main())

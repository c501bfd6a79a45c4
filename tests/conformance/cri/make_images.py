"""Makes the suite's images from the machine's own static busybox: ``make_images.py OUT.tar REPOSITORY``.

One OCI archive with all of them, named ``REPOSITORY/<name>``. Standard library only; the same bytes every time.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PASSWD = """root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www:/www:/bin/sh
in-image:x:1000:1000:has a group of its own:/home:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = "root:x:0:\nwww-data:x:33:\nin-image:x:1000:\ngroup-in-image:x:50000:in-image\nnogroup:x:65534:\n"
CAP_CHOWN = 0
ODD_PASSWD = """
# a comment
broken
:::::
short:x:5
text:x:number:one::/:/bin/sh
large:x:99999999999999:1::/:/bin/sh
+nis::::::
late:x:1234:4321:a::/late:/bin/sh
"""
ODD_GROUP = "\n#\n::\nbroken\nlate:x:5678:\nmore:x:91:late,other\nspaced:x:92: late\n"
MANY_USERS = "".join(f"user{n}:x:{n}:{n}:{'x' * 100}:/home/{n}:/bin/sh\n" for n in range(20_000))
MANY_USERS += "last:x:54321:54321::/last:/bin/sh\n"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """config: as in an image's configuration. files: path → content, links: path → target; in a layer of their own.

    scratch: that layer has the static busybox as ``/busybox``, and there is none below it. programs: path → mode and
    capabilities of the file (a mask), each a copy of busybox.
    """

    config: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    scratch: bool = False
    programs: Mapping[str, tuple[int, int]] = field(default_factory=dict)


SLEEP = {"Cmd": ["sleep", "100000"]}
IMAGES = {
    "busybox:1": Image({"Cmd": ["sh"]}),
    "busybox:same": Image({"Cmd": ["sh"]}),
    "busybox:latest": Image({"Cmd": ["sh"]}),
    "pause:1": Image({"Entrypoint": ["/bin/busybox", "sleep", "2000000000"]}),
    "web:1": Image(
        {"Entrypoint": ["httpd", "-f", "-h", "/www", "-p"], "Cmd": ["80"]}, {"www/index.html": "served by the pod\n"}
    ),
    "different:1": Image(SLEEP, {"which": "1"}),
    "different:2": Image(SLEEP, {"which": "2"}),
    "different:3": Image(SLEEP, {"which": "3"}),
    "user:number": Image({**SLEEP, "User": "1002"}),
    "user:number-group": Image({**SLEEP, "User": "1003:1004"}),
    "user:name": Image({**SLEEP, "User": "www-data"}),
    "user:name-group": Image({**SLEEP, "User": "www-data:www-data"}),
    "user:in-image": Image({**SLEEP, "User": "1000"}),
    "entry:1": Image(
        {
            "Entrypoint": ["/bin/echo", "entry"],
            "Cmd": ["default"],
            "Env": [PATH, "FROM_IMAGE=image", "BOTH=image"],
            "WorkingDir": "/work/here",
            "StopSignal": "SIGUSR1",
            "Volumes": {"/declared": {}, "/not/there": {}},
            "Labels": {"maker": "conformance"},
        },
        {"declared/from-image": "kept\n"},
    ),
    "nothing:1": Image({}),
    # What images in the wild have, too
    "odd:scratch": Image({"Entrypoint": ["/busybox"], "Cmd": ["sleep", "100000"], "Env": []}, scratch=True),
    "odd:no-users": Image(SLEEP, {"etc/.wh.passwd": "", "etc/.wh.group": ""}),
    "odd:users": Image({**SLEEP, "User": "late:late"}, {"etc/passwd": ODD_PASSWD, "etc/group": ODD_GROUP}),
    "odd:many-users": Image({**SLEEP, "User": "last"}, {"etc/passwd": MANY_USERS}),
    "odd:moved-users": Image(
        {**SLEEP, "User": "moved"},
        {"usr/share/accounts/passwd": "moved:x:777:778::/moved:/bin/sh\n"},
        {"etc/passwd": "../usr/share/accounts/passwd"},
    ),
    "odd:links-in-etc": Image(
        SLEEP,
        links={
            "etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
            "etc/hosts": "/nowhere/hosts",
            "etc/hostname": "../run/hostname",
            "etc/mtab": "/proc/mounts",
        },
    ),
    "odd:dev": Image(SLEEP, {"dev/null": "not null\n", "dev/own": "of the image\n"}, {"dev/shm": "/run/shm"}),
    "odd:dev-is-a-link": Image(SLEEP, {".wh.dev": ""}, {"dev": "/tmp"}),
    "odd:proc-is-a-link": Image(SLEEP, {".wh.proc": ""}, {"proc": "/tmp"}),
    "odd:sys-is-a-link": Image(SLEEP, {".wh.sys": ""}, {"sys": "../../../../tmp"}),
    "odd:run": Image(
        {**SLEEP, "Volumes": {"/var/data": {}}, "WorkingDir": "/var/work"},
        {"srv/data/from-image": "kept\n", "srv/work/here": ""},
        {"var/run": "/run", "var/data": "/srv/data", "var/work": "/srv/work"},
    ),
    "odd:privileges": Image(
        SLEEP,
        {"etc/passwd": "root::0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"},
        programs={"privileged/su": (0o4755, 0), "privileged/chown": (0o755, 1 << CAP_CHOWN)},
    ),
    "odd:settings": Image(
        {
            "Entrypoint": [""],
            "Cmd": ["sleep", "100000"],
            "Env": [PATH, "NO_EQUALS", "PATH", "=nameless", "A=first", "A=b=c", "EMPTY="],
            "Volumes": {"/": {}, "relative/path": {}, "/../../up": {}},
            "Labels": None,
            "ExposedPorts": None,
            "WorkingDir": None,
        }
    ),
    "odd:nobody-at-all": Image({**SLEEP, "User": "4294967295"}),
    "odd:group-of-nobody": Image({**SLEEP, "User": "1000:4294967295"}),
    "odd:user-too-large": Image({**SLEEP, "User": "99999999999999999999999"}),
    "odd:scripts": Image(
        SLEEP,
        {
            "bin/no-shebang": "echo ran without\n",
            "bin/crlf": "#!/bin/sh\r\necho never\r\n",
            "bin/no-interpreter": "#!/usr/bin/nothing\n",
        },
    ),
}


def main() -> int:
    """Exit status 1 when there is no busybox."""
    target, repository = sys.argv[1:]
    busybox = shutil.which("busybox")
    if busybox is None:
        print("no busybox found: install it (Debian: apt install busybox-static)", file=sys.stderr)
        return 1
    blobs: dict[str, bytes] = {}
    base = base_layer(busybox)
    manifests = []
    for name, image in IMAGES.items():
        special = image.files or image.links or image.programs or image.scratch
        own = [layer(image, busybox)] if special else []
        layers = own if image.scratch else [base, *own]
        described = describe(manifest(image, layers, blobs), MANIFEST, blobs)
        names = {
            "io.containerd.image.name": f"{repository}/{name}",
            "org.opencontainers.image.ref.name": f"{repository}/{name}",
        }
        manifests.append({**described, "annotations": names})
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    with tarfile.open(target, "w") as archive:
        add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        add(archive, "index.json", json.dumps(index).encode())
        for digest, data in blobs.items():
            add(archive, f"blobs/sha256/{digest}", data)
    return 0


def manifest(image: Image, layers: list[bytes], blobs: dict[str, bytes]) -> bytes:
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Env": [PATH], **image.config},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers]},
    }
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": describe(
            json.dumps(config, sort_keys=True).encode(), "application/vnd.oci.image.config.v1+json", blobs
        ),
        "layers": [describe(one, "application/vnd.oci.image.layer.v1.tar", blobs) for one in layers],
    }
    return json.dumps(document, sort_keys=True).encode()


def describe(data: bytes, media_type: str, blobs: dict[str, bytes]) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def base_layer(busybox: str) -> bytes:
    """busybox, a link per applet, users and groups."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as out:
        for directory in ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "var", "www"):
            add_directory(out, directory, 0o755)
        add_directory(out, "tmp", 0o1777)
        with open(busybox, "rb") as file:
            add(out, "bin/busybox", file.read(), 0o755)
        listed = subprocess.run([busybox, "--list"], check=True, stdout=subprocess.PIPE, text=True)
        for applet in sorted(set(listed.stdout.split()) - {"busybox"}):
            add_link(out, f"bin/{applet}", "busybox")
        add(out, "etc/passwd", PASSWD.encode())
        add(out, "etc/group", GROUP.encode())
    return buffer.getvalue()


def layer(image: Image, busybox: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as out:
        with open(busybox, "rb") as file:
            program = file.read()
        if image.scratch:
            add(out, "busybox", program, 0o755)
        for path, (mode, capabilities) in image.programs.items():
            add(out, path, program, mode, capabilities)
        for path, content in image.files.items():
            directory, slash, _ = path.rpartition("/")
            if slash:
                add_directory(out, directory, 0o755)
            add(out, path, content.encode(), 0o755 if path.startswith("bin/") else 0o644)
        for path, target in image.links.items():
            add_link(out, path, target)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644, capabilities: int = 0) -> None:
    """capabilities: permitted and effective ones of the file. Source: Linux, struct vfs_cap_data, revision 2."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    if capabilities:
        value = struct.pack("<5I", 0x02000001, capabilities, 0, 0, 0)
        entry.pax_headers["SCHILY.xattr.security.capability"] = value.decode()
    archive.addfile(entry, io.BytesIO(data))


def add_link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    archive.addfile(entry)


def add_directory(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


if __name__ == "__main__":
    sys.exit(main())

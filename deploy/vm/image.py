"""What a virtual machine boots from: Debian's cloud kernel, an initramfs of our own, a read-only root.

    CACHE/<hash of the recipe>/vmlinuz  initramfs  root.squashfs      made once, in about a minute

The root is Debian 12 with its own python3, the project's dependencies below /opt/site and the kernel's modules. Code
is not in it: it comes on a second disk (machine.py). Needs root, apt, mmdebstrap and squashfs-tools; nothing outside
of the cache is changed. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SUITE, PYTHON = "bookworm", "3.11"
KERNEL = "linux-image-cloud-amd64"
PACKAGES = (
    "python3,apparmor,busybox-static,ca-certificates,checkpolicy,crun,docker-registry,e2fsprogs,etcd-client,etcd-server,"
    "iproute2,kmod,libcap2-bin,nftables,podman,procps,runc,skopeo,util-linux"
)
BOOT_MODULES = ("virtio_pci", "virtio_blk", "squashfs", "overlay", "loop")
TEST_REQUIREMENTS = ("pytest>=8.3", "pytest-asyncio>=0.24", "pytest-timeout>=2.3", "hypothesis>=6.112")

INITRAMFS_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
while read module; do insmod "$module"; done < /modules
mount -t squashfs -o ro /dev/vda /lower
mount -t tmpfs -o size=75% memory /above
mkdir /above/upper /above/work
mount -t overlay -o lowerdir=/lower,upperdir=/above/upper,workdir=/above/work root /root
mount --move /dev /root/dev
umount /proc /sys
exec switch_root /root /sbin/knarr-vm-init
"""

# The command's output goes to the second serial port; its exit status is the last line there.
ROOT_INIT = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PYTHONUNBUFFERED=1 KNARR_TEST_SLOWNESS=10 KNARR_TEST_RUNTIMES=knarr
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t securityfs securityfs /sys/kernel/security
[ ! -d /sys/fs/selinux ] || mount -t selinuxfs selinuxfs /sys/fs/selinux
mkdir -p /dev/shm /dev/pts /dev/mqueue
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm; mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs -o mode=1777 tmp /tmp; mount -t tmpfs run /run; mount -t tmpfs data /var/lib
mount -t cgroup2 -o nsdelegate,memory_recursiveprot none /sys/fs/cgroup
mkdir /sys/fs/cgroup/session
echo 0 > /sys/fs/cgroup/session/cgroup.procs
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$controller > /sys/fs/cgroup/cgroup.subtree_control
done 2>/dev/null
ip link set lo up; hostname vm
stty -F /dev/ttyS1 raw -echo 2>/dev/null
mkdir -p /knarr; mount -t tmpfs -o mode=755 code /knarr
tar -x -f /dev/vdb -C /knarr
cd /knarr
python_path=/opt/site:/knarr/proto:/knarr/runtime:/knarr/node_agent:/knarr/controlplane
PYTHONPATH=$python_path setsid sh /knarr/vm-command < /dev/null > /dev/ttyS1 2>&1
printf '\\nknarr-vm: exit status %s\\n' $? > /dev/ttyS1
sync
poweroff -f 2>/dev/null || busybox poweroff -f
"""


def prepare() -> Path:
    """The directory with everything to boot from, made when it is not there."""
    place = _cache() / _recipe()
    if (place / "complete").exists():
        return place
    if os.geteuid() != 0:
        sys.exit("vm: making the machine's root needs root (mmdebstrap); once only")
    print("vm: making the machine's root, once", file=sys.stderr, flush=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=place.parent, prefix="building-"))
    try:
        _build(building)
        (building / "complete").touch()
        shutil.rmtree(place, ignore_errors=True)
        building.rename(place)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return place


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "knarr/vm"


def _recipe() -> str:
    text = Path(__file__).read_bytes() + repr((_requirements(), _project()["scripts"])).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def _requirements() -> list[str]:
    return [*_project()["dependencies"], *TEST_REQUIREMENTS]


def _project() -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def _build(place: Path) -> None:
    kernel, root = place / "kernel", place / "root"
    _kernel(place, kernel)
    version = next((kernel / "lib/modules").iterdir()).name
    _run("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}", SUITE, root)
    shutil.copytree(kernel / "lib/modules", root / "lib/modules", symlinks=True, dirs_exist_ok=True)
    _run("depmod", "-b", root, version)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip.append("--only-binary=:all:")
    _run(*pip, "--python-version", PYTHON, "--implementation", "cp", "--target", root / "opt/site", *_requirements())
    _run("chroot", root, "python3", "-m", "compileall", "-q", "/opt/site", f"/usr/lib/python{PYTHON}")
    _script(root / "sbin/knarr-vm-init", ROOT_INIT)
    for name, place_of_main in _project()["scripts"].items():  # beside the interpreter, as in a virtual environment
        module, _, function = place_of_main.partition(":")
        text = f"#!/usr/bin/python3\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        _script(root / "usr/bin" / name, text)
    _initramfs(place, root, version)
    shutil.copy(kernel / f"boot/vmlinuz-{version}", place / "vmlinuz")
    uncompressed = ["-noI", "-noD", "-noF", "-noX"]  # unpacking is what software emulation is slow at
    _run("mksquashfs", root, place / "root.squashfs", "-quiet", "-no-progress", *uncompressed)
    shutil.rmtree(root)
    shutil.rmtree(kernel)


def _kernel(place: Path, target: Path) -> None:
    """The newest cloud kernel that Debian offers, unpacked."""
    depends = _output("apt-cache", "depends", "--no-recommends", "--no-suggests", KERNEL)
    packages = [line.split()[1] for line in depends.splitlines() if "Depends: linux-image-" in line]
    if not packages:
        sys.exit(f"vm: apt knows no {KERNEL}: run apt-get update, or add Debian's archive")
    subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", packages[0]], cwd=place, check=True)
    archive = next(place.glob("*.deb"))
    _run("dpkg-deb", "-x", archive, target)
    archive.unlink()


def _initramfs(place: Path, root: Path, version: str) -> None:
    """busybox, the modules that lead to the root, and a script, as a cpio archive."""
    modules = root / "lib/modules" / version
    needed = _module_files(modules)
    files: list[tuple[str, int, bytes]] = [(name, 0o40755, b"") for name in ("bin", "proc", "sys", "dev")]
    files += [(name, 0o40755, b"") for name in ("root", "lower", "above", "lib")]
    files.append(("bin/busybox", 0o100755, (root / "bin/busybox").read_bytes()))
    files.append(("init", 0o100755, INITRAMFS_INIT.encode()))
    files.append(("modules", 0o100644, "".join(f"/lib/{path.name}\n" for path in needed).encode()))
    files += [(f"lib/{path.name}", 0o100644, path.read_bytes()) for path in needed]
    (place / "initramfs").write_bytes(b"".join(_cpio(*each) for each in (*files, ("TRAILER!!!", 0, b""))))


def _module_files(modules: Path) -> list[Path]:
    """In the order they have to be loaded; those built into the kernel are left out."""
    depends: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        name, _, others = line.partition(":")
        depends[name] = others.split()
    by_name = {Path(path).name.partition(".")[0]: path for path in depends}
    found: list[str] = []
    for module in BOOT_MODULES:
        path = by_name.get(module)
        for each in [*reversed(depends[path]), path] if path else []:
            if each not in found:
                found.append(each)
    return [modules / path for path in found]


def _cpio(name: str, mode: int, data: bytes) -> bytes:
    """One entry in the format "newc" (Linux Documentation/driver-api/early-userspace/buffer-format.rst)."""
    encoded = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

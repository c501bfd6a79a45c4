"""Run one command in a virtual machine that has this repository, and pass its output and exit status on.

    ./dev vm [--memory MB] [--cpus N] [--seconds N] [--boot "ARGUMENTS"] -- COMMAND…

QEMU emulates the machine in software (KVM is used where it works); the machine has a pure cgroup v2 hierarchy. What git
knows of the repository, changed or not, is copied in; the machine is gone when the command has ended.
"""

from __future__ import annotations

import argparse
import os
import selectors
import shlex
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import image

MARK = b"knarr-vm: exit status "
FLAGS = ["-M", "q35", "-cpu", "max", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
KERNEL_ARGUMENTS = "console=ttyS0 quiet mitigations=off nokaslr no_timer_check panic=-1 psi=1"


def main(arguments: Sequence[str]) -> int:
    """The command's exit status; 124 when it took too long, 125 when the machine ended without saying one."""
    parser = argparse.ArgumentParser(prog="./dev vm", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--memory", type=int, default=3072, metavar="MB", help="of the machine (3072)")
    parser.add_argument("--cpus", type=int, default=min(os.cpu_count() or 1, 4), metavar="N")
    parser.add_argument("--seconds", type=float, default=1800, metavar="N", help="until the machine is stopped (1800)")
    parser.add_argument("--boot", default="", metavar="ARGUMENTS", help='more for the kernel ("security=selinux")')
    parser.add_argument("command", nargs="+", help="after --, run in the repository's root")
    given = parser.parse_args(arguments)
    place = image.prepare()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the machine and its directory go, too
    with tempfile.TemporaryDirectory(prefix="knarr-vm-") as directory:
        code = Path(directory) / "code.tar"
        _pack(code, given.command)
        command = ["qemu-system-x86_64", *FLAGS, "-accel", _accelerator(), "-smp", str(given.cpus)]
        command += ["-m", str(given.memory), "-kernel", str(place / "vmlinuz"), "-initrd", str(place / "initramfs")]
        command += ["-append", f"{KERNEL_ARGUMENTS} {given.boot}", *_disk(place / "root.squashfs", 0), *_disk(code, 1)]
        command += ["-serial", f"file:{directory}/console", "-serial", "stdio"]
        status = _follow(command, given.seconds)
        if status in (124, 125):
            sys.stderr.write((Path(directory) / "console").read_text(errors="replace")[-4000:])
            sys.stderr.write("vm: the machine ended, or was stopped, before the command had; its console is above\n")
        return status


def _pack(target: Path, command: Sequence[str]) -> None:
    """The repository's files and the command as a tar, which the machine reads from its second disk."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=image.ROOT,
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(target, "w") as archive:
        for name in sorted(filter(None, listed.decode().split("\0"))):
            if (image.ROOT / name).is_file():
                archive.add(image.ROOT / name, name)
        script = shlex.join(command).encode() + b"\n"
        entry = tarfile.TarInfo("vm-command")
        entry.size = len(script)
        archive.addfile(entry, BytesIO(script))


def _disk(path: Path, number: int) -> list[str]:
    drive = f"file={path},if=none,id=disk{number},format=raw,readonly=on"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive=disk{number}"]


def _accelerator() -> str:
    """KVM where a machine of it ends by itself at once; the device alone says little."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg,thread=multi"
    probe = ["qemu-system-x86_64", *FLAGS, "-accel", "kvm", "-m", "32", "-device", "isa-debug-exit", "-S"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = subprocess.Popen([*probe, "-monitor", "stdio"], stdin=subprocess.PIPE, **quiet)
    try:
        started.communicate(b"quit\n", timeout=5)
        return "kvm:tcg" if started.returncode == 0 else "tcg,thread=multi"
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()
        return "tcg,thread=multi"


def _follow(command: Sequence[str], seconds: float) -> int:
    """Prints what the machine says until it tells the exit status, or ends, or its time is over."""
    ends = time.monotonic() + seconds
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert machine.stdout is not None
    waiting = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(machine.stdout, selectors.EVENT_READ)
            while (left := ends - time.monotonic()) > 0:
                if not selector.select(left):
                    continue
                data = os.read(machine.stdout.fileno(), 1 << 16)
                if not data:
                    return 125
                text, mark, waiting = (waiting + data).partition(b"\n" + MARK)
                if mark and b"\n" in waiting:
                    _print(text)
                    return int(waiting)
                if mark:
                    text, waiting = b"", text + mark + waiting
                elif b"\n" in text[-len(MARK) - 1 :]:  # the mark may have begun
                    text, _, last = text.rpartition(b"\n")
                    waiting = b"\n" + last
                _print(text)
        return 124
    finally:
        machine.kill()
        machine.wait()


def _print(text: bytes) -> None:
    sys.stdout.buffer.write(text.replace(b"\r\n", b"\n"))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

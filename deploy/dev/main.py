"""The developer command behind ./dev. Standard library only: it makes the virtual environment it then works in."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"

SOURCES = ("proto", "runtime", "node_agent", "controlplane", "tests", "deploy")

# Debian package -> a program of it that shows it is installed
DEMO_PACKAGES = {"busybox-static": "busybox"}
TEST_PACKAGES = {
    **DEMO_PACKAGES,
    "etcd-server": "etcd",
    "etcd-client": "etcdctl",
    "iproute2": "ip",
    "kubernetes-client": "kubectl",
    "nftables": "nft",
    "procps": "ps",
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "skopeo": "skopeo",
    "buildah": "buildah",
    "podman": "podman",
}
VM_PACKAGES = {
    "qemu-system-x86": "qemu-system-x86_64",
    "mmdebstrap": "mmdebstrap",
    "squashfs-tools": "mksquashfs",
    "kmod": "depmod",
}
BENCH_PACKAGES = {**TEST_PACKAGES, "umoci": "umoci", "crun": "crun", "runc": "runc"}
# What the machine with cgroup v2 is for; everything takes some 15 times as long there.
VM_TESTS = [
    *("tests/kernel/runtime", "tests/kernel/security", "tests/kernel/cri"),
    *("tests/conformance/cri", "tests/conformance/registry", "tests/e2e/test_cluster.py"),
]
VM_SECONDS = 5400
VM_OPTIONS = ["-q", "-p", "no:cacheprovider", "-o", "timeout=900", "--color=no"]


def main() -> int:
    """Exit status is that of the first command that failed."""
    parser = argparse.ArgumentParser(prog="./dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="a real cluster of three nodes on this machine, broken and healing")
    demo.usage = "./dev demo [--keep] [--store sqlite|etcd]"
    test = commands.add_parser("test", help="all tests (root); arguments go to pytest")
    test.usage = "./dev test [--vm] [pytest arguments]"
    seeds = commands.add_parser("simulate", help="a cluster in virtual time, with faults, seed by seed")
    seeds.usage = "./dev simulate [--seeds N] [--first S] [--seed S] [--budget SECONDS] [--keep] [--log] | --planted"
    machine = commands.add_parser("vm", help="a command in a virtual machine with cgroup v2, without KVM")
    machine.usage = "./dev vm [--memory MB] [--cpus N] [--seconds N] [--boot ARGUMENTS] -- COMMAND"
    commands.add_parser("check", help="ruff, mypy, import contracts, generated code up to date")
    commands.add_parser("fmt", help="format and sort imports")
    bench = commands.add_parser("bench", help="measure, beside crun, runc and etcd itself")
    bench.usage = "./dev bench [cluster] [runtime] [store] | scale [--nodes N] [--pods P] [--store etcd|sqlite] …"
    commands.add_parser("proto", help="generate code from the .proto files")
    commands.add_parser("setup", help="only install what is missing")
    commands.add_parser("help", help="this")
    arguments, more = parser.parse_known_args()
    if arguments.command == "help":
        parser.print_help()
        return 0
    if more and arguments.command not in ("demo", "test", "simulate", "bench", "vm"):
        parser.error(f"unrecognized arguments: {' '.join(more)}")

    if arguments.command == "test" and "--vm" in more:
        arguments.command = "vm"
        tests = [word for word in more if word != "--vm"] or VM_TESTS
        more = ["--seconds", str(VM_SECONDS), "--", "python3", "-m", "pytest", *VM_OPTIONS, *tests]
    packages = {"demo": DEMO_PACKAGES, "test": TEST_PACKAGES, "bench": BENCH_PACKAGES, "vm": VM_PACKAGES}.get(
        arguments.command, {}
    )
    install_packages(packages)
    install_environment()
    return {
        "demo": lambda: run(PYTHON, ROOT / "deploy/dev/demo.py", *more),
        "test": lambda: run(PYTHON, "-m", "pytest", *more),
        "simulate": lambda: simulate(more),
        "vm": lambda: run(PYTHON, ROOT / "deploy/vm/machine.py", *more),
        "check": check,
        "fmt": fmt,
        "bench": lambda: run(PYTHON, ROOT / "tests/bench/main.py", *more),
        "proto": lambda: run(PYTHON, ROOT / "proto/generate/main.py"),
        "setup": lambda: 0,
    }[arguments.command]()


def simulate(more: list[str]) -> int:
    if "--planted" in more:
        return run(PYTHON, "-m", "tests.simulation.planted", *(word for word in more if word != "--planted"))
    return run(PYTHON, "-m", "tests.simulation.run", *more)


def install_packages(packages: dict[str, str]) -> None:
    """apt-get install the packages whose program is not there. Says what to do where apt can't be used."""
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    missing = sorted(package for package, program in packages.items() if not shutil.which(program, path=path))
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"dev: please install these Debian packages: {' '.join(missing)}")
    print(f"dev: installing {' '.join(missing)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet = {"stdout": subprocess.DEVNULL, "env": environment}
    subprocess.run(["apt-get", "update", "-qq"], check=True, **quiet)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    # A package that starts a daemon of its own is kept from doing so: only the program is wanted.
    policy = Path("/usr/sbin/policy-rc.d")
    made_policy = not policy.exists()
    if made_policy:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        subprocess.run(command, check=True, **quiet)
    finally:
        if made_policy:
            policy.unlink(missing_ok=True)


def install_environment() -> None:
    """Make .venv and install the project into it, editable, again when pyproject.toml has changed."""
    stamp = VENV / "installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("dev: installing Python packages into .venv", file=sys.stderr, flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True, symlinks=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "-e", f"{ROOT}[dev]"], check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stderr}dev: the Python packages could not be installed; pip's message stands above")
    stamp.write_text(wanted)


def check() -> int:
    """Every static check, all of them also after one has failed."""
    checks = [
        [BIN / "ruff", "check", *SOURCES],
        [BIN / "ruff", "format", "--check", *SOURCES],
        [BIN / "mypy"],
        [BIN / "lint-imports"],
        [PYTHON, ROOT / "proto/generate/main.py", "--check"],
    ]
    return max([run(*command) for command in checks])


def fmt() -> int:
    """Format in place."""
    return max(run(BIN / "ruff", "check", "--fix", "--select", "I", *SOURCES), run(BIN / "ruff", "format", *SOURCES))


def run(*command: str | Path) -> int:
    """Run a command of the environment from the repository's root."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    return subprocess.run([str(word) for word in command], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

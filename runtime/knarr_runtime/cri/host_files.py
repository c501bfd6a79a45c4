"""Files of the host that a pod's containers see: /etc/hosts, /etc/hostname and /etc/resolv.conf, and their volumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri import standalone
from knarr_runtime.cri.records import SandboxRecord
from knarr_runtime.errors import Invalid
from knarr_runtime.spec import Mount

NAMES = ("hosts", "hostname", "resolv.conf")


def write(directory: Path, record: SandboxRecord) -> None:
    """On the host's network the host's own, else what the sandbox's configuration and address say."""
    config = record.config
    if config.linux.security_context.namespace_options.network == cri.NODE:
        hosts, hostname = _read("/etc/hosts"), _read("/etc/hostname")
    else:
        name = config.hostname or os.uname().nodename
        own = f"{record.address}\t{name}\n" if record.address else ""
        hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost\n{own}"
        hostname = f"{name}\n"
    hosts += config.annotations.get(standalone.HOSTS, "")
    for file, text in zip(NAMES, (hosts, hostname, _resolver(config.dns_config)), strict=True):
        (directory / file).write_text(text)
        (directory / file).chmod(0o644)


def mounts(directory: Path) -> tuple[Mount, ...]:
    return tuple(Mount(source=str(directory / name), target=f"/etc/{name}") for name in NAMES)


def make_source(mount: Mount) -> None:
    """A host path that is missing becomes a directory, as in other runtimes: pods rely on it. Raises Invalid."""
    try:
        os.makedirs(mount.source, 0o755, exist_ok=True)
    except FileExistsError:  # something else than a directory
        return
    except OSError as error:
        raise Invalid(f"config.mounts: {mount.source} can't be made: {error.strerror}") from error


def _resolver(dns: Any) -> str:
    """The host's where nothing is said."""
    lines = [
        *([f"search {' '.join(dns.searches)}"] if dns.searches else []),
        *(f"nameserver {server}" for server in dns.servers),
        *([f"options {' '.join(dns.options)}"] if dns.options else []),
    ]
    return "\n".join(lines) + "\n" if lines else _read("/etc/resolv.conf")


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""

"""Files that every pod gets from its node: ``/etc/hosts``, and where containers leave their last words.

The last words (``terminationMessagePath``) become the message of the terminated state. What the container wrote is not
trusted: it is read without following links and only so far.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from knarr_api.types.core_v1 import Container, Pod
from knarr_node_agent.configs import HostMount

HOSTS = "/etc/hosts"
DEFAULT_MESSAGE_PATH = "/dev/termination-log"
MESSAGE_BYTES_MAX = 4096
FALLBACK_BYTES, FALLBACK_LINES = 2048, 80


class PodFiles:
    """root: where pods' directories are."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def mounts(self, pod: Pod, container: Container, attempt: int, ip: str) -> tuple[HostMount, ...]:
        """What to mount into a run of a container, written now. A volume of the pod's own at the place comes first."""
        taken = {mount.mount_path.rstrip("/") for mount in container.volume_mounts}
        found: list[HostMount] = []
        if HOSTS not in taken and not pod.spec.host_network:
            path = self._root / pod.metadata.uid / "etc-hosts"
            _write(path, hosts_text(pod, ip).encode(), 0o644)
            found.append(HostMount(str(path), HOSTS, readonly=False))
        target = container.termination_message_path or DEFAULT_MESSAGE_PATH
        if target.rstrip("/") not in taken:
            path = self._message(pod.metadata.uid, container.name, attempt)
            path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, b"", 0o666)
            found.append(HostMount(str(path), target, readonly=False))
        return tuple(found)

    def last_words(self, uid: str, container: Container, attempt: int, *, failed: bool, log: Path | None) -> str:
        """What a run left; of a failed one that left nothing the end of its log, where the container asks for it."""
        text = _tail(self._message(uid, container.name, attempt), MESSAGE_BYTES_MAX)
        if not text and failed and log is not None and container.termination_message_policy == "FallbackToLogsOnError":
            lines = [_content(line) for line in _tail(log, FALLBACK_BYTES * 2).split(b"\n") if line]
            text = b"\n".join(lines[-FALLBACK_LINES:])[-FALLBACK_BYTES:]
        return text.decode(errors="replace")

    def forget_run(self, uid: str, container: str, attempt: int) -> None:
        self._message(uid, container, attempt).unlink(missing_ok=True)

    def _message(self, uid: str, container: str, attempt: int) -> Path:
        return self._root / uid / "containers" / container / str(attempt)


def hosts_text(pod: Pod, ip: str) -> str:
    """A pod's ``/etc/hosts``. Pure."""
    spec = pod.spec
    name = spec.hostname or pod.metadata.name
    lines = [
        "# managed by the node agent",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    if ip:
        lines.append(f"{ip}\t{name}")
    for alias in spec.host_aliases:
        if alias.hostnames:
            lines.append(f"{alias.ip}\t{' '.join(alias.hostnames)}")
    return "\n".join(lines) + "\n"


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(descriptor, mode)


def _tail(path: Path, limit_bytes: int) -> bytes:
    """The end of a regular file; nothing when there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return b""
        return os.pread(descriptor, limit_bytes, max(status.st_size - limit_bytes, 0))
    finally:
        os.close(descriptor)


def _content(line: bytes) -> bytes:
    """The text of a line of a CRI log."""
    return line.split(b" ", 3)[-1]

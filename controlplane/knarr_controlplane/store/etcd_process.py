"""Running the ``etcd`` found on PATH as a child of the control plane, and the settings that suit it.

The flags are the measured ones of ``docs/architecture.md`` (Store). Clients and peers authenticate by certificates of
the cluster's CA; it listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knarr_api.errors import Invalid, Unavailable

CORRUPTING_VERSIONS = ("3.5.0", "3.5.1", "3.5.2")
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
# Becomes the program in its arguments, which ends with the control plane: so that the next one can start its own. Not a
# preexec_fn: in a process that uses gRPC a fork that runs Python may hang in gRPC's handler. PR_SET_PDEATHSIG(2const).
END_WITH_PARENT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"
QUOTA_BYTES = 8 * 1024**3
SNAPSHOT_COUNT = 1000
"""Transactions that etcd reads again when it starts, and keeps in memory. Ours are large, of many writes each: of its
own 100,000 the log of 150,000 pods takes 1.2 GB, of 1,000 0.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTls:
    """Files: the CA, and a certificate with its key good for 127.0.0.1 as server and as client.

    server_name: of several members, which the certificate of each must hold.
    """

    ca: Path
    certificate: Path
    key: Path
    server_name: str = "localhost"

    @classmethod
    def of_directory(cls, directory: Path) -> EtcdTls | None:
        """``ca.crt``, ``client.crt`` and ``client.key`` there, for an etcd of one's own; None without the directory.

        ``server-name`` is a file with the members' shared name where that is not localhost.
        """
        if not directory.is_dir():
            return None
        name = "localhost"
        with contextlib.suppress(FileNotFoundError):
            name = (directory / "server-name").read_text().strip()
        files = {"ca": directory / "ca.crt", "certificate": directory / "client.crt", "key": directory / "client.key"}
        return cls(**files, server_name=name)


@dataclass(slots=True)
class EtcdProcess:
    """A running etcd. endpoint: host:port for clients."""

    process: asyncio.subprocess.Process
    endpoint: str

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


async def start(data_dir: Path, tls: EtcdTls | None) -> EtcdProcess:
    """Start it on free ports (kept in ``data_dir/ports`` for the next start) and wait until it answers.

    Raises Unavailable when etcd is not installed or does not come up, Invalid for a version that loses data.
    """
    program = shutil.which("etcd")
    if program is None:
        raise Unavailable("etcd is not on PATH: install it (Debian: apt install etcd-server) or use --store sqlite")
    await asyncio.to_thread(check_version, program)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    client_port, peer_port = _ports(data_dir / "ports")
    endpoint = f"127.0.0.1:{client_port}"
    command = [program, *arguments(data_dir / "data", tls, client_port=client_port, peer_port=peer_port)]
    log_path = data_dir / "etcd.log"
    with open(log_path, "ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", END_WITH_PARENT, *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ.get("PATH", "")},
        )
    running = EtcdProcess(process, endpoint)
    try:
        await _wait_until_listening(process, client_port, log_path)
    except BaseException:
        await running.stop()
        raise
    return running


def arguments(
    data: Path,
    tls: EtcdTls | None,
    *,
    name: str = "knarr",
    client_port: int,
    peer_port: int,
    members: Mapping[str, int] | None = None,
) -> list[str]:
    """Of a member that listens on 127.0.0.1. members: peer ports of all by name; without them it is alone."""
    scheme = "https" if tls is not None else "http"
    client, peer = f"{scheme}://127.0.0.1:{client_port}", f"{scheme}://127.0.0.1:{peer_port}"
    ports = members or {name: peer_port}
    words = [
        *("--name", name, "--data-dir", str(data)),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", ",".join(f"{name}={scheme}://127.0.0.1:{port}" for name, port in ports.items())),
        *("--backend-batch-limit", "1000", "--backend-batch-interval", "20ms"),
        *("--max-txn-ops", "1024", "--snapshot-count", str(SNAPSHOT_COUNT)),
        *("--quota-backend-bytes", str(QUOTA_BYTES), "--log-level", "warn", "--logger", "zap"),
    ]
    if tls is not None:
        for role in ("", "peer-"):
            words += [f"--{role}cert-file={tls.certificate}", f"--{role}key-file={tls.key}"]
            words += [f"--{role}trusted-ca-file={tls.ca}", f"--{role}client-cert-auth"]
    return words


def check_version(program: str) -> None:
    """Raises Invalid for a version that loses data."""
    output = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=False).stdout
    match = re.search(rb"etcd Version: (\d+\.\d+\.\d+)", output)
    version = match[1].decode() if match else ""
    if version in CORRUPTING_VERSIONS:
        raise Invalid(f"etcd {version} can corrupt its data: use 3.5.3 or later, or 3.4")


def _ports(path: Path) -> tuple[int, int]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        client, peer = (int(word) for word in path.read_text().split())
        return client, peer
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        client, peer = one.getsockname()[1], other.getsockname()[1]
    path.write_text(f"{client} {peer}\n")
    return client, peer


async def _wait_until_listening(process: asyncio.subprocess.Process, port: int, log_path: Path) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while process.returncode is None:
                with contextlib.suppress(ConnectionError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        pass
    last = log_path.read_text(errors="replace").splitlines()[-5:]
    raise Unavailable(f"etcd does not come up; the end of {log_path}:\n" + "\n".join(last))

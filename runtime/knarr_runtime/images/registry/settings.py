"""What can be set about registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATES = (Path("/etc/containerd/certs.d"), Path("/etc/docker/certs.d"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """insecure: registries (``HOST[:PORT]``) that may be spoken to without TLS; loopback always may.

    mirrors: by registry the base URLs asked first, in order. certificates: directories with ``<registry>/ca.crt``.
    config_files: Docker's, read for credentials at each transfer. stall_s: without a byte, then the request is made
    again.
    """

    insecure: frozenset[str] = frozenset()
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    certificates: tuple[Path, ...] = CERTIFICATES
    config_files: tuple[Path, ...] = ()
    connect_s: float = 10.0
    stall_s: float = 30.0
    attempts: int = 5
    retry_s: float = 0.25
    parallel: int = 4

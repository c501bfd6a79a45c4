"""What can be set about the runtime's daemon, read once from the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knarr_runtime import cdi
from knarr_runtime.errors import Invalid
from knarr_runtime.images.collecting import Thresholds
from knarr_runtime.images.registry import credentials
from knarr_runtime.images.registry.settings import RegistrySettings
from knarr_telemetry import logs, tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """command: serve or check. cgroup_root: below the cgroup the daemon is started in."""

    command: str
    root: Path
    socket: Path
    cgroup_root: str
    pod_cidr: str
    streaming_address: str
    log_level: str
    log_format: str
    tracing_endpoint: str
    registries: RegistrySettings
    image_gc: Thresholds
    cdi_directories: tuple[Path, ...]


def parse(arguments: Sequence[str]) -> Settings:
    """Exits with status 2 and a message for arguments that are wrong."""
    parser = argparse.ArgumentParser(prog="knarr-runtime", description="A container runtime behind CRI.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve CRI on a unix socket")
    serve.add_argument("--root", type=Path, default=Path("/var/lib/knarr-runtime"), help="images, containers, state")
    serve.add_argument("--socket", type=Path, default=Path("/run/knarr/runtime.sock"))
    serve.add_argument("--cgroup-root", default="pods", help="below the daemon's own cgroup (default: pods)")
    serve.add_argument("--pod-cidr", default="", help="pods' addresses until the node has its own (10.88.0.0/24)")
    serve.add_argument(
        "--streaming-address",
        default="127.0.0.1:0",
        help="for exec, attach and port-forward: HOST:PORT or unix:PATH (default: a free port of loopback)",
    )
    serve.add_argument(
        "--registry-mirror",
        action="append",
        default=[],
        metavar="REGISTRY=URL",
        help="asked before the registry itself, in order: docker.io=https://mirror.example",
    )
    serve.add_argument(
        "--insecure-registry", action="append", default=[], metavar="HOST[:PORT]", help="may be spoken to without TLS"
    )
    serve.add_argument(
        "--image-gc-high", type=int, default=85, metavar="PERCENT", help="of the disk: then images go (85; 100: never)"
    )
    serve.add_argument("--image-gc-low", type=int, default=80, metavar="PERCENT", help="until this is reached (80)")
    serve.add_argument(
        "--cdi-spec-dir",
        action="append",
        type=Path,
        metavar="DIR",
        help="descriptions of devices, later ones replace earlier ones (/etc/cdi and /var/run/cdi)",
    )
    serve.add_argument("--log-level", default="info", choices=logs.LEVELS)
    serve.add_argument("--log-format", default="console", choices=logs.FORMATS)
    serve.add_argument("--tracing-endpoint", default=tracing.default_endpoint(), metavar="URL", help=tracing.HELP)
    commands.add_parser("check", help="what this kernel and these privileges allow")
    given = parser.parse_args(arguments)
    mirrors: dict[str, tuple[str, ...]] = {}
    for text in getattr(given, "registry_mirror", ()):
        registry, equals, url = text.partition("=")
        if not equals or not registry or not url:
            parser.error(f'--registry-mirror "{text}": expected REGISTRY=URL')
        mirrors[registry] = (*mirrors.get(registry, ()), url)
    try:
        image_gc = Thresholds(
            high_percent=getattr(given, "image_gc_high", 85), low_percent=getattr(given, "image_gc_low", 80)
        )
    except Invalid as error:
        parser.error(str(error))
    return Settings(
        image_gc=image_gc,
        command=given.command,
        root=getattr(given, "root", Path("/var/lib/knarr-runtime")).absolute(),
        socket=getattr(given, "socket", Path("/run/knarr/runtime.sock")).absolute(),
        cgroup_root=getattr(given, "cgroup_root", "pods"),
        streaming_address=getattr(given, "streaming_address", "127.0.0.1:0"),
        pod_cidr=getattr(given, "pod_cidr", ""),
        cdi_directories=tuple(getattr(given, "cdi_spec_dir", None) or cdi.DIRECTORIES),
        log_level=getattr(given, "log_level", "info"),
        log_format=getattr(given, "log_format", "console"),
        tracing_endpoint=getattr(given, "tracing_endpoint", ""),
        registries=RegistrySettings(
            insecure=frozenset(getattr(given, "insecure_registry", ())),
            mirrors=mirrors,
            config_files=credentials.default_files(os.environ),
        ),
    )

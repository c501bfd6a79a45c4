"""Everything that can be set about a control plane, read once from the command line."""

from __future__ import annotations

import argparse
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from knarr_api.errors import Invalid
from knarr_client.channel import is_address
from knarr_client.observing import Address
from knarr_controlplane.controllers.settings import NODE_PREFIX_LENGTH
from knarr_controlplane.scheduler.profile import Profiles, default_profiles, read
from knarr_controlplane.server.serving import Listener
from knarr_telemetry import logs, tracing

DEFAULT_LISTEN = "127.0.0.1:6443"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times are in seconds. pki: the cluster's keys, the same for all its control planes; peers: the others' APIs."""

    data_dir: Path
    pki: Path
    store: str
    listeners: tuple[Listener, ...]
    advertise: tuple[str, ...]
    peers: tuple[str, ...]
    heartbeat_s: float
    node_grace_s: float
    eviction_s: int
    cluster_cidr: str
    retention_s: float
    log_level: str
    log_format: str
    tracing_endpoint: str
    metrics: Address | None = None
    profiles: Profiles = field(default_factory=default_profiles)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="knarr-controlplane", description="The control plane: API, scheduler, controllers."
    )
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="keys, certificates and, with SQLite or etcd, the store"
    )
    parser.add_argument("--pki", type=Path, help="the cluster's keys, where another control plane has made them")
    parser.add_argument("--store", default="sqlite", help="sqlite, etcd, or etcd://HOST:PORT,… (default: sqlite)")
    parser.add_argument(
        "--listen",
        action="append",
        metavar="ADDRESS",
        help=f"HOST:PORT or netns:PATH,HOST:PORT (default: {DEFAULT_LISTEN}); the join port is the next one",
    )
    parser.add_argument(
        "--advertise", action="append", default=[], metavar="HOST:PORT", help="where nodes reach the API"
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="the API of another control plane of this cluster, asked for logs of pods whose agents it has",
    )
    parser.add_argument(
        "--heartbeat",
        type=float,
        default=None,
        help="seconds between a node's heartbeats (default: 2, or a fifth of --node-grace)",
    )
    parser.add_argument(
        "--node-grace",
        type=float,
        default=10.0,
        help="seconds without a heartbeat until a node is unreachable (default: 10)",
    )
    parser.add_argument(
        "--eviction-toleration",
        type=int,
        default=30,
        help="seconds until pods leave a node that is not ready (default: 30)",
    )
    parser.add_argument("--cluster-cidr", default="10.244.0.0/16", help="addresses of pods (default: 10.244.0.0/16)")
    parser.add_argument(
        "--retention", type=float, default=600.0, help="seconds for which old revisions are kept (default: 600)"
    )
    parser.add_argument(
        "--scheduler-config",
        type=Path,
        metavar="FILE",
        help="a KubeSchedulerConfiguration with profiles (default: one, default-scheduler)",
    )
    parser.add_argument(
        "--metrics-address",
        metavar="HOST:PORT",
        help="serve /metrics, /livez and /readyz here, off loopback for holders of a certificate only (default: not)",
    )
    parser.add_argument("--log-level", default="info", choices=logs.LEVELS)
    parser.add_argument("--log-format", default="console", choices=logs.FORMATS)
    parser.add_argument("--tracing-endpoint", default=tracing.default_endpoint(), metavar="URL", help=tracing.HELP)
    return parser


def parse(arguments: Sequence[str]) -> Settings:
    """Exits with status 2 and a message for arguments that are wrong. Raises Invalid for a wrong address."""
    parser = _parser()
    given = parser.parse_args(arguments)
    heartbeat_s = given.heartbeat if given.heartbeat is not None else min(2.0, given.node_grace / 5)
    for option, seconds in (
        ("node-grace", given.node_grace),
        ("heartbeat", heartbeat_s),
        ("retention", given.retention),
    ):
        if not 0 < seconds < math.inf:
            parser.error(f"--{option} {seconds:g}: must be a number of seconds above 0")
    if given.node_grace < 2 * heartbeat_s:
        parser.error(f"--node-grace {given.node_grace:g}: must be at least twice the heartbeat ({heartbeat_s:g})")
    if given.eviction_toleration < 0:
        parser.error(f"--eviction-toleration {given.eviction_toleration}: must not be negative")
    if problem := _cidr_problem(given.cluster_cidr):
        parser.error(f'--cluster-cidr "{given.cluster_cidr}": {problem}')
    for option, addresses in (("peer", given.peer), ("advertise", given.advertise)):
        for address in addresses:
            if not is_address(address):
                parser.error(f'--{option} "{address}": expected HOST:PORT')
    listeners = tuple(Listener.parse(text) for text in given.listen or [DEFAULT_LISTEN])
    return Settings(
        data_dir=given.data_dir,
        pki=given.pki or given.data_dir / "pki",
        store=given.store,
        listeners=listeners,
        advertise=tuple(given.advertise)
        or tuple(f"{listener.host}:{listener.port}" for listener in listeners if not listener.netns),
        peers=tuple(given.peer),
        heartbeat_s=heartbeat_s,
        node_grace_s=given.node_grace,
        eviction_s=given.eviction_toleration,
        cluster_cidr=given.cluster_cidr,
        retention_s=given.retention,
        log_level=given.log_level,
        log_format=given.log_format,
        tracing_endpoint=given.tracing_endpoint,
        metrics=Address.parse(given.metrics_address) if given.metrics_address else None,
        profiles=_profiles(given.scheduler_config) if given.scheduler_config else default_profiles(),
    )


def _cidr_problem(text: str) -> str:
    """Why nodes can't get ranges out of it, or nothing."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        return f"expected a range of IPv4 addresses such as 10.244.0.0/16: {error}"
    if network.prefixlen > NODE_PREFIX_LENGTH:
        return f"a node gets a /{NODE_PREFIX_LENGTH} of it, so it must be at least that large"
    return ""


def _profiles(path: Path) -> Profiles:
    """Raises Invalid."""
    try:
        return read(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, Invalid) as error:
        raise Invalid(f"--scheduler-config {path}: {error}") from error

"""Everything that can be set about an agent, read once from the command line."""

from __future__ import annotations

import argparse
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knarr_client.channel import KEEPALIVE_S, KEEPALIVE_TIMEOUT_S, is_address
from knarr_telemetry import logs, tracing

DEFAULT_RUNTIME = "unix:///run/knarr/runtime.sock"
DEFAULT_MAX_PODS = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """servers: the API at each control plane, the first preferred.

    token_file: waited for when there is no certificate yet; it is removed once used.
    """

    node_name: str
    data_dir: Path
    servers: tuple[str, ...]
    token: str
    token_file: Path | None
    runtime: str
    node_ip: str
    labels: dict[str, str]
    max_pods: int
    keepalive_s: int
    overlay: bool
    log_level: str
    log_format: str
    tracing_endpoint: str
    metrics: str


def parse(arguments: Sequence[str]) -> Settings:
    """Exits with status 2 and a message for arguments that are wrong."""
    parser = argparse.ArgumentParser(prog="knarr-node-agent", description="The agent of one node.")
    parser.add_argument("--node-name", default=socket.gethostname().lower(), help="default: this machine's host name")
    parser.add_argument("--data-dir", type=Path, required=True, help="key, certificate, volumes, assignments")
    parser.add_argument("--server", required=True, metavar="HOST:PORT,…", help="the API, of each control plane")
    parser.add_argument("--token", default="", help="a join token, for the first start")
    parser.add_argument("--token-file", type=Path, help="a file with the join token; waited for")
    parser.add_argument("--runtime", default=DEFAULT_RUNTIME, help=f"CRI socket (default: {DEFAULT_RUNTIME})")
    parser.add_argument("--node-ip", default="", help="address other nodes reach this one at (default: the route's)")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="label of the node")
    parser.add_argument("--max-pods", type=int, default=DEFAULT_MAX_PODS)
    parser.add_argument(
        "--keepalive",
        type=int,
        default=KEEPALIVE_S,
        metavar="SECONDS",
        help="after so long without a word from the control plane ask whether it is there; with the "
        f"{KEEPALIVE_TIMEOUT_S} s it has to answer less than its --node-grace (default: {KEEPALIVE_S})",
    )
    parser.add_argument("--no-overlay", action="store_true", help="leave routes to other nodes alone")
    parser.add_argument(
        "--metrics-address",
        default="",
        metavar="HOST:PORT",
        help="serve metrics and health here, off loopback for holders of a certificate only (default: not)",
    )
    parser.add_argument("--log-level", default="info", choices=logs.LEVELS)
    parser.add_argument("--log-format", default="console", choices=logs.FORMATS)
    parser.add_argument("--tracing-endpoint", default=tracing.default_endpoint(), metavar="URL", help=tracing.HELP)
    given = parser.parse_args(arguments)
    if given.keepalive < 1:
        parser.error(f"--keepalive {given.keepalive}: must be at least 1")
    servers = tuple(server for server in given.server.split(",") if server)
    if not servers or not all(is_address(server) for server in servers):
        parser.error(f'--server "{given.server}": expected HOST:PORT,HOST:PORT,…')
    if given.max_pods < 0:
        parser.error(f"--max-pods {given.max_pods}: must not be negative")
    if given.node_ip and not _is_ip(given.node_ip):
        parser.error(f'--node-ip "{given.node_ip}": expected an IP address')
    labels: dict[str, str] = {}
    for text in given.label:
        key, equal, value = text.partition("=")
        if not equal or not key:
            parser.error(f'--label "{text}": expected KEY=VALUE')
        labels[key] = value
    return Settings(
        node_name=given.node_name,
        data_dir=given.data_dir,
        servers=servers,
        token=given.token,
        token_file=given.token_file,
        runtime=given.runtime,
        node_ip=given.node_ip,
        labels=labels,
        max_pods=given.max_pods,
        keepalive_s=given.keepalive,
        overlay=not given.no_overlay,
        log_level=given.log_level,
        log_format=given.log_format,
        tracing_endpoint=given.tracing_endpoint,
        metrics=given.metrics_address,
    )


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

"""``knarr up``, ``knarr down`` and ``knarr node kill|start|join``: the commands for clusters of this machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from knarr_cli.cluster import plan as planning
from knarr_cli.cluster import ports, several
from knarr_cli.cluster import up as local
from knarr_cli.cluster.plan import Options, UpError
from knarr_cli.cluster.state import ClusterStateError, LocalCluster
from knarr_cli.session import seconds

DEFAULT_DATA_DIR = Path("/var/lib/knarr")

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DATA_DIR,
    show_default=True,
    help="Everything of the cluster is kept here.",
)


class Progress:
    """One line per step on standard error: what is done, and how long it took."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._terminal = sys.stderr.isatty()

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Shown as under way on a terminal, then as done or failed."""
        if self._terminal:
            click.echo(f" • {text} …", err=True, nl=False)
        try:
            yield
        except BaseException:
            click.echo(f"\r {click.style('✗', fg='red')} {text}   " if self._terminal else f" ✗ {text}", err=True)
            raise
        took = f"{time.monotonic() - self._started:.1f} s"
        mark = click.style("✓", fg="green") if self._terminal else "✓"
        click.echo(f"{chr(13) if self._terminal else ''} {mark} {text} ({took})", err=True)


@contextmanager
def explained() -> Iterator[None]:
    """Turn the package's errors into the command's: the message on standard error, exit status 1."""
    try:
        yield
    except (UpError, ClusterStateError, TimeoutError) as error:
        raise click.ClickException(str(error)) from error
    except PermissionError as error:
        raise click.ClickException(f"{error}: run it as root") from error


@click.command(
    "up",
    epilog="""\b
Examples:
  knarr up                                     # one node, kept in /var/lib/knarr
  knarr up --nodes 3 --data-dir D --detach     # three nodes, in the background
  knarr up --data-dir D --store etcd           # starts the etcd found on PATH
  knarr up --data-dir D --store etcd --control-planes 3 --etcd-members 3
  knarr up --runtime unix:///run/containerd/containerd.sock
  knarr up --data-dir D --store etcd://10.0.0.1:2379,10.0.0.2:2379""",
)
@click.option("--nodes", type=click.IntRange(1, 200), default=None, help="How many nodes.  [default: 1]")
@data_dir_option
@click.option("--store", default="", help="sqlite, etcd, or etcd://HOST:PORT,… .  [default: sqlite]")
@click.option("--control-planes", type=click.IntRange(1, 9), help="How many, on one etcd.  [default: 1]")
@click.option("--etcd-members", type=click.IntRange(1, 9), help="Of that etcd.  [default: 1]")
@click.option("--port", type=click.IntRange(1, 65534), help="Of the API on 127.0.0.1.  [default: 6443 or a free one]")
@click.option(
    "--runtime", default="", metavar="unix:///PATH", help="Another CRI runtime for the only node: containerd."
)
@click.option("--detach", "-d", is_flag=True, help="Leave it running in the background.")
@click.option("--timeout", "timeout_s", type=float, default=local.START_TIMEOUT_S, show_default=True, help="Seconds.")
@click.option("--node-grace", "node_grace_s", type=float, help="Seconds without a heartbeat until a node is Unknown.")
@click.option("--eviction-grace", "eviction_s", type=int, help="Seconds until pods leave a node that is not Ready.")
@click.option(
    "--retention",
    metavar="DURATION",
    help="Of what was, for 'get --at', history, undo.  [default: 10m]",
)
@click.option(
    "--scheduler-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A KubeSchedulerConfiguration with profiles.",
)
@click.option("--metrics-address", metavar="HOST:PORT", help="Serve /metrics, /livez and /readyz of the control plane.")
@click.option(
    "--node-metrics-address",
    metavar="HOST:PORT",
    help="Serve /metrics and /metrics/resource of each agent, in its node's network namespace.",
)
@click.option("--log-format", type=click.Choice(("console", "json")), default="console", show_default=True)
@click.option(
    "--tracing-endpoint", default="", metavar="URL", help="Of an OTLP collector all nodes reach: unix:///PATH."
)
def up_command(
    nodes: int | None,
    data_dir: Path,
    store: str,
    control_planes: int | None,
    etcd_members: int | None,
    port: int | None,
    detach: bool,
    timeout_s: float,
    node_grace_s: float | None,
    eviction_s: int | None,
    retention: str | None,
    scheduler_config: Path | None,
    metrics_address: str | None,
    node_metrics_address: str | None,
    log_format: str,
    tracing_endpoint: str,
    runtime: str,
) -> None:
    """Start a cluster on this machine.

    Every node gets a network namespace, a cgroup subtree and a data directory of its own, with its own agent and
    container runtime. A cluster that was stopped or whose supervisor died goes on where it was. Without --detach the
    cluster stops with Ctrl-C and keeps its data; 'knarr down' removes it. Settings that are given then are changed, the
    others stay as they were.
    """
    flags: list[str] = []
    if node_grace_s is not None:
        flags += ["--node-grace", str(node_grace_s)]
    if eviction_s is not None:
        flags += ["--eviction-toleration", str(eviction_s)]
    if scheduler_config is not None:
        flags += ["--scheduler-config", str(scheduler_config.resolve())]
    if metrics_address is not None:
        flags += ["--metrics-address", metrics_address]
    progress = Progress()
    with explained():
        if retention is not None:
            flags += ["--retention", str(seconds(retention))]
        _check_addresses(metrics_address, node_metrics_address)
        local.preflight()
        options = Options(
            data_dir=data_dir,
            nodes=nodes or 0,
            store=store,
            port=port or 0,
            control_planes=control_planes or 0,
            etcd_members=etcd_members or 0,
            control_plane_flags=tuple(flags),
            agent_flags=("--metrics-address", node_metrics_address) if node_metrics_address else (),
            log_format=log_format,
            tracing_endpoint=tracing_endpoint,
            runtime=runtime,
        )
        present = planning.existing(options)
        with ExitStack() as listening:
            if present is None:
                listening.enter_context(ports.turn())
            cluster = planning.with_settings(present, options) if present else planning.plan(options)
            local.check_not_running(cluster)
            with progress.step(f"networks of {_count(cluster)}"):
                local.prepare(cluster)
            several.make_keys(cluster)
            try:
                _bring_up(cluster, progress, time.monotonic() + timeout_s, listening.close)
            except BaseException:
                local.stop(cluster)
                if present is None:
                    local.remove_data(cluster)
                else:
                    present.save()
                raise
    _how_to_use(cluster, detach)
    if not detach:
        _follow(cluster)


def _bring_up(cluster: LocalCluster, progress: Progress, deadline: float, listening: Callable[[], None]) -> None:
    from knarr_cli.cluster import ready

    local.start_supervisor(cluster)
    count = len(several.control_planes(cluster))
    with progress.step("control plane" if count == 1 else f"{count} control planes"):
        ready.wait_for_control_plane(cluster, deadline)
    listening()
    with progress.step(f"{_count(cluster)} Ready"):
        ready.give_tokens(cluster, deadline)
        ready.wait_for_nodes(cluster, deadline)


def _follow(cluster: LocalCluster) -> None:
    """Until Ctrl-C or SIGTERM; then stop the cluster, keeping its data."""
    stop_asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: stop_asked.append(received))
    pid = local.supervisor_pid(cluster)
    if pid is not None:
        descriptor = os.pidfd_open(pid)
        import select

        while not stop_asked:
            try:
                if select.select([descriptor], [], [], 1.0)[0]:
                    break
            except InterruptedError:
                continue
        os.close(descriptor)
    progress = Progress()
    with explained(), progress.step("stopped; data kept"):
        local.stop(cluster)
    if not stop_asked:
        raise click.ClickException(f"the supervisor ended by itself; see {cluster.log_dir}/supervisor.log")


@click.command(
    "down",
    epilog="""\b
Examples:
  knarr down --data-dir D               # stop and remove everything
  knarr down --data-dir D --keep-data   # stop; 'knarr up --data-dir D' goes on""",
)
@data_dir_option
@click.option("--keep-data", is_flag=True, help="Keep the data directory.")
def down_command(data_dir: Path, keep_data: bool) -> None:
    """Stop a cluster of this machine and remove everything it made, also after a crash."""
    progress = Progress()
    with explained():
        if os.geteuid() != 0:
            raise UpError("not root: run it with sudo")
        cluster = LocalCluster.load(data_dir)
        with progress.step("processes, pods, networks, cgroups and mounts removed"):
            local.stop(cluster)
        if not keep_data:
            with progress.step(f"{data_dir} removed"):
                local.remove_data(cluster)


def _node_command(name: str, help_text: str, act: Callable[[LocalCluster, str], None], done: str) -> click.Command:
    @click.command(name, help=help_text)
    @click.argument("node")
    @data_dir_option
    def command(node: str, data_dir: Path) -> None:
        with explained():
            act(LocalCluster.load(data_dir), node)
        click.echo(f"node/{node} {done}")

    return command


kill_command = _node_command(
    "kill",
    "Kill every process of a local node at once, as a power cut would. 'knarr node start' brings it back.",
    local.kill_node,
    "killed",
)
start_command = _node_command("start", "Start a local node that was killed.", local.start_node, "started")


@click.command(
    "join",
    epilog="""\b
Examples:
  knarr token create                                            # on the control plane: prints a token
  knarr node join --server 192.0.2.10:6443 --token kn1.…        # on the new machine""",
)
@click.option("--server", required=True, metavar="HOST:PORT", help="The API; its join port is the next one.")
@click.option("--token", required=True, help="From 'knarr token create'; '-' reads it from standard input.")
@click.option("--name", default="", help="Name of the node.  [default: this machine's host name]")
@click.option("--node-ip", default="", help="Address the other nodes reach this one at.  [default: the route's]")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="May be given several times.")
@click.option("--metrics-address", default="", metavar="HOST:PORT", help="Serve /metrics of the agent here.")
@data_dir_option
@click.option("--timeout", "timeout_s", type=float, default=local.START_TIMEOUT_S, show_default=True, help="Seconds.")
def join_command(
    server: str,
    token: str,
    name: str,
    node_ip: str,
    labels: tuple[str, ...],
    metrics_address: str,
    data_dir: Path,
    timeout_s: float,
) -> None:
    """Make this machine a node of another machine's cluster. 'knarr down' takes it out of service again."""
    from knarr_cli.cluster import ready

    progress = Progress()
    with explained():
        local.preflight()
        flags = ("--metrics-address", metrics_address) if metrics_address else ()
        cluster = planning.plan_join(
            server=server, name=name, node_ip=node_ip, labels=labels, agent_flags=flags, data_dir=data_dir
        )
        local.prepare(cluster)
        local.write_token(cluster.nodes[0], sys.stdin.readline().strip() if token == "-" else token)
        try:
            local.start_supervisor(cluster)
            with progress.step(f"node {cluster.nodes[0].name} joins {server}"):
                ready.wait_for_join(cluster, time.monotonic() + timeout_s)
        except BaseException:
            local.stop(cluster)
            local.remove_data(cluster)
            raise
    click.echo(f"node/{cluster.nodes[0].name} joined; 'knarr down --data-dir {data_dir}' stops it", err=True)


@click.group("node")
def node_group() -> None:
    """Nodes of this machine: join a cluster, kill, start."""


for _command in (kill_command, start_command, join_command):
    node_group.add_command(_command)

commands: tuple[click.Command, ...] = (up_command, down_command, node_group)


def _check_addresses(*addresses: str | None) -> None:
    """Raises Invalid."""
    from knarr_client.observing import Address

    for address in filter(None, addresses):
        Address.parse(address)


def _count(cluster: LocalCluster) -> str:
    return "1 node" if len(cluster.nodes) == 1 else f"{len(cluster.nodes)} nodes"


def _how_to_use(cluster: LocalCluster, detach: bool) -> None:
    lines = [
        "",
        f"The cluster is ready: {_count(cluster)}, API at https://{cluster.server}. Use it:",
        f"  export KUBECONFIG={cluster.kubeconfig}",
        "  knarr get nodes",
        f"  knarr down --data-dir {cluster.data_dir}      # stop and remove it",
    ]
    if not detach:
        lines.append("Ctrl-C stops it and keeps its data.")
    click.echo("\n".join(lines), err=True)

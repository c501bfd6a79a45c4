"""``run``: a container from an image, in the foreground or not."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2, images_pb2
from knarr_runtime.cli import configs, parsing
from knarr_runtime.cli.configs import RunOptions
from knarr_runtime.cli.output import Transfer
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, name_of, session
from knarr_runtime.cli.streams import Result, Streams
from knarr_runtime.errors import Invalid

LOGS = Path("/var/log/knarr-runtime")
VOLUMES = Path("/var/lib/knarr-runtime/volumes")
DEFAULT_CIDR = "10.88.0.0/16"
REFUSED = 125
ADJECTIVES = ("brave", "calm", "clever", "eager", "gentle", "happy", "keen", "kind", "lively", "noble", "quick", "wise")
NOUNS = ("anchor", "birch", "fjord", "gull", "harbour", "keel", "lantern", "mast", "prow", "raven", "sail", "wave")


@click.command(context_settings={"allow_interspersed_args": False}, short_help="Create and run a container")
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("-i", "--interactive", is_flag=True, help="Keep standard input open.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-d", "--detach", is_flag=True, help="Run in the background and print the container's id.")
@click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended.")
@click.option("--name", default="", help="Default: a name is made up.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable.")
@click.option("--env-file", multiple=True, type=click.Path(exists=True, dir_okay=False), help="File of NAME=VALUE.")
@click.option("-v", "--volume", multiple=True, metavar="SOURCE:TARGET[:ro]", help="Directory or named volume.")
@click.option("-p", "--publish", multiple=True, metavar="[[IP:]HOST:]PORT[/tcp]", help="Port of the host.")
@click.option("-m", "--memory", default="", metavar="SIZE", help="Limit of memory: 64m, 1g.")
@click.option("--memory-swap", default="", metavar="SIZE", help="Limit of memory and swap together; -1: no limit.")
@click.option("--cpus", default="", metavar="CORES", help="Limit of CPU: .5, 2.")
@click.option("-c", "--cpu-shares", default=0, metavar="WEIGHT", help="Share beside others; the usual is 1024.")
@click.option("--cpuset-cpus", default="", metavar="LIST", help="CPUs to run on: 0-1,3.")
@click.option("--cpuset-mems", default="", metavar="LIST", help="Memory nodes to use.")
@click.option("-u", "--user", default="", metavar="USER[:GID]", help="Name or number.")
@click.option("--group-add", multiple=True, type=int, metavar="GID", help="Supplemental group.")
@click.option("-w", "--workdir", default="", metavar="DIR", help="Working directory.")
@click.option("--entrypoint", default=None, metavar="COMMAND", help="In place of the image's.")
@click.option("-h", "--hostname", default="", help="Default: the beginning of the id.")
@click.option("--network", "--net", default="bridge", metavar="MODE", help="bridge, host or container:NAME.")
@click.option("--pid", default="", metavar="MODE", help="host: see the processes of the host.")
@click.option("--ipc", default="", metavar="MODE", help="host: share the host's IPC.")
@click.option("--privileged", is_flag=True, help="All capabilities and devices, nothing masked, no seccomp.")
@click.option("--cap-add", multiple=True, metavar="CAP", help="Add a capability, or ALL.")
@click.option("--cap-drop", multiple=True, metavar="CAP", help="Drop a capability, or ALL.")
@click.option("--read-only", "readonly", is_flag=True, help="The root filesystem can't be written.")
@click.option(
    "--security-opt", "security", multiple=True, metavar="OPT", help="seccomp=…, apparmor=…, no-new-privileges."
)
@click.option(
    "--device", multiple=True, metavar="DEVICE", help="HOST[:PATH[:rwm]] of the host, or VENDOR/CLASS=NAME by CDI."
)
@click.option("--sysctl", multiple=True, metavar="NAME=VALUE", help="Namespaced kernel parameter.")
@click.option("-l", "--label", multiple=True, metavar="KEY=VALUE", help="Label of the container.")
@click.option("--annotation", multiple=True, metavar="KEY=VALUE", help="Annotation of the container.")
@click.option("--dns", multiple=True, metavar="ADDRESS", help="Name server.")
@click.option("--dns-search", multiple=True, metavar="DOMAIN", help="Search domain.")
@click.option("--stop-signal", default="", metavar="SIGNAL", help="In place of the image's, or SIGTERM.")
@click.option("--oom-score-adj", default=0, type=click.IntRange(-1000, 1000), help="How readily the kernel kills it.")
@click.option("--pull", type=click.Choice(["missing", "always", "never"]), default="missing", show_default=True)
@click.option("--platform", default="", metavar="OS/ARCH", help="Of an image with several.")
@click.option("--cidfile", type=click.Path(path_type=Path), help="Write the container's id to this file.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to the container.")
def run(image: str, command: tuple[str, ...], **given: Any) -> None:
    """Create a container from IMAGE and run COMMAND, or what the image says, in it.

    \b
    Examples:
      knarr-runtime run -it --rm alpine sh
      knarr-runtime run -d --name web -p 8080:80 -m 64m --cpus .5 nginx
      knarr-runtime run --rm -v "$PWD:/src:ro" -w /src python:3 python check.py

    The exit status is the container's; 125 when it could not be run, 126 when the command could not be executed and
    127 when it was not found.
    """
    with failures(REFUSED):
        connected = session()
        options = _options(image, command, given)
        _check(connected, options, given)
        ensure_image(connected, image, given["pull"], given["platform"])
        raise SystemExit(_run(connected, options, given))


def _options(image: str, command: tuple[str, ...], given: dict[str, Any]) -> RunOptions:
    swap = given["memory_swap"]
    return RunOptions(
        image=image,
        name=parsing.container_name(given["name"]) if given["name"] else _made_up_name(),
        command=command,
        entrypoint=given["entrypoint"],
        env=parsing.environment(given["env"], (Path(path).read_text() for path in given["env_file"]), {**os.environ}),
        volumes=tuple(parsing.volume(text) for text in given["volume"]),
        ports=tuple(port for text in given["publish"] for port in parsing.port(text)),
        memory=parsing.size(given["memory"]) if given["memory"] else 0,
        memory_swap=-1 if swap == "-1" else parsing.size(swap) if swap else 0,
        cpus=parsing.cpus(given["cpus"]) if given["cpus"] else 0.0,
        cpu_shares=given["cpu_shares"],
        cpuset_cpus=given["cpuset_cpus"],
        cpuset_mems=given["cpuset_mems"],
        user=given["user"],
        groups=given["group_add"],
        workdir=given["workdir"],
        hostname=given["hostname"],
        network=given["network"],
        pid=given["pid"],
        ipc=given["ipc"],
        privileged=given["privileged"],
        cap_add=given["cap_add"],
        cap_drop=given["cap_drop"],
        readonly=given["readonly"],
        security=given["security"],
        devices=given["device"],
        sysctls=parsing.pairs(given["sysctl"], "sysctl"),
        labels=parsing.pairs(given["label"], "label"),
        annotations=parsing.pairs(given["annotation"], "annotation"),
        dns=given["dns"],
        dns_search=given["dns_search"],
        stop_signal=given["stop_signal"],
        oom_score_adj=given["oom_score_adj"],
        tty=given["tty"],
        interactive=given["interactive"],
        auto_remove=given["remove"] and given["detach"],
    )


def _made_up_name() -> str:
    return f"{secrets.choice(ADJECTIVES)}_{secrets.choice(NOUNS)}_{secrets.token_hex(2)}"


def _check(connected: Session, options: RunOptions, given: dict[str, Any]) -> None:
    """What can be known before anything is made."""
    if options.tty and options.interactive and not given["detach"] and not sys.stdin.isatty():
        raise Invalid("the input device is not a TTY: leave -t out, or run it on a terminal")
    for each in connected.list_containers():
        if name_of(each) == options.name:
            raise Invalid(f'the container name "{options.name}" is in use by container {each.id[:12]}: remove it first')
    cidfile = given["cidfile"]
    if cidfile is not None and cidfile.exists():
        raise Invalid(f"{cidfile} exists: make sure that no other container uses it, and remove it")


def ensure_image(connected: Session, image: str, policy: str, platform: str = "") -> None:
    """Pulls the image where the policy says so. Exits with 125 when it is missing."""
    request = cri.ImageStatusRequest(image=cri.ImageSpec(image=image))
    there = bool(connected.cri_images.ImageStatus(request, timeout=QUICK_S).image.id)
    if there and policy != "always":
        return
    if policy == "never":
        raise Invalid(f"No such image: {image}")
    if not there:
        click.echo(f"Unable to find image '{image}' locally", err=True)
    pull_image(connected, image, platform)


def pull_image(connected: Session, image: str, platform: str = "", *, quiet: bool = False, auth: Any = None) -> Any:
    """The TransferResult."""
    result = None
    with Transfer(quiet=quiet) as shown:
        for message in connected.images.Pull(images_pb2.PullRequest(image=image, platform=platform, auth=auth)):
            shown.take(message)
            if message.HasField("result"):
                result = message.result
    return result


def _run(connected: Session, options: RunOptions, given: dict[str, Any]) -> int:
    uid = secrets.token_hex(16)
    joined = options.network.startswith("container:")
    log_directory = LOGS / uid
    if joined:
        other = connected.find_container(options.network.partition(":")[2])
        sandbox_id, sandbox = other.pod_sandbox_id, cri.PodSandboxConfig()
        sandbox.CopyFrom(configs.sandbox(_plain(options), uid, str(log_directory)))
    else:
        _ensure_network(connected, options)
        sandbox = configs.sandbox(options, uid, str(log_directory))
    config = configs.container(options, {volume.source: _volume(volume) for volume in options.volumes if volume.named})
    if not joined:
        request = cri.RunPodSandboxRequest(config=sandbox)
        sandbox_id = connected.runtime.RunPodSandbox(request, timeout=QUICK_S).pod_sandbox_id
    started = Started(connected, sandbox_id, "", log_directory, owns_sandbox=not joined)
    try:
        creation = cri.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        started.container_id = connected.runtime.CreateContainer(creation, timeout=QUICK_S).container_id
        if given["cidfile"] is not None:
            given["cidfile"].write_text(started.container_id)
        return _go(started, options, given)
    except BaseException:
        if started.container_id == "" or not started.running:
            started.remove()
        raise


def _plain(options: RunOptions) -> RunOptions:
    from dataclasses import replace

    if options.ports:
        raise Invalid("ports belong to the container whose network is joined: publish them there")
    return replace(options, network="bridge")


class Started:
    """A container of ``run`` and what was made for it."""

    def __init__(
        self, connected: Session, sandbox_id: str, container_id: str, log_directory: Path, *, owns_sandbox: bool
    ) -> None:
        self.connected = connected
        self.sandbox_id = sandbox_id
        self.container_id = container_id
        self.log_directory = log_directory
        self.owns_sandbox = owns_sandbox
        self.running = False

    def start(self) -> None:
        """Exits with 126 or 127 where the command can't be executed."""
        try:
            self.connected.runtime.StartContainer(
                cri.StartContainerRequest(container_id=self.container_id), timeout=QUICK_S
            )
        except grpc.RpcError as error:
            status = self.connected.runtime.ContainerStatus(
                cri.ContainerStatusRequest(container_id=self.container_id), timeout=QUICK_S
            ).status
            self.remove()
            fail(str(error.details()), status.exit_code if status.exit_code in (126, 127) else REFUSED)
        self.running = True

    def signal(self, number: int) -> None:
        request = containers_pb2.SignalRequest(container_id=self.container_id, signal=str(number))
        try:
            self.connected.containers.Signal(request, timeout=QUICK_S)
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND):
                raise

    def exit_code(self) -> int:
        answer = self.connected.containers.Wait(containers_pb2.WaitRequest(container_id=self.container_id))
        return int(answer.exit_code)

    def remove(self) -> None:
        if self.owns_sandbox:
            whole = cri.RemovePodSandboxRequest(pod_sandbox_id=self.sandbox_id)
            self.connected.runtime.RemovePodSandbox(whole, timeout=QUICK_S)
        elif self.container_id:
            only = cri.RemoveContainerRequest(container_id=self.container_id)
            self.connected.runtime.RemoveContainer(only, timeout=QUICK_S)
        shutil.rmtree(self.log_directory, ignore_errors=True)


def _go(started: Started, options: RunOptions, given: dict[str, Any]) -> int:
    if given["detach"]:
        started.start()
        click.echo(started.container_id)
        return 0
    request = cri.AttachRequest(
        container_id=started.container_id,
        stdin=options.interactive,
        tty=options.tty,
        stdout=True,
        stderr=not options.tty,
    )
    url = started.connected.runtime.Attach(request, timeout=QUICK_S).url
    proxy = started.signal if given["sig_proxy"] and not options.tty else None
    streams = Streams(url, tty=options.tty, stdin=options.interactive, on_signal=proxy)
    streams.open()
    started.start()
    result = streams.run()
    if result.detached:
        return 0
    code = _ended(started, result)
    if given["remove"]:
        started.remove()
    return code


def _ended(started: Started, result: Result) -> int:
    """The exit code; Ctrl-C while waiting is passed on."""
    previous = signal.signal(signal.SIGINT, lambda number, _: started.signal(number))
    try:
        return started.exit_code()
    finally:
        signal.signal(signal.SIGINT, previous)


def _ensure_network(connected: Session, options: RunOptions) -> None:
    """A runtime that no node agent has given a pod CIDR gets one."""
    if options.network == "host":
        return
    conditions = connected.runtime.Status(cri.StatusRequest(), timeout=QUICK_S).status.conditions
    if not all(each.status for each in conditions if each.type == "NetworkReady"):
        config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=DEFAULT_CIDR))
        connected.runtime.UpdateRuntimeConfig(cri.UpdateRuntimeConfigRequest(runtime_config=config), timeout=QUICK_S)


def _volume(volume: parsing.Volume) -> str:
    """The directory of a named volume, made when it is used first."""
    directory = VOLUMES / volume.source
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    return str(directory)

"""The options that ``run`` and ``create`` share, read into values."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from knarr_runtime.cli import mounting, parsing
from knarr_runtime.cli.configs import RunOptions
from knarr_runtime.cri import standalone
from knarr_runtime.errors import Invalid

ADJECTIVES = ("brave", "calm", "clever", "eager", "gentle", "happy", "keen", "kind", "lively", "noble", "quick", "wise")
NOUNS = ("anchor", "birch", "fjord", "gull", "harbour", "keel", "lantern", "mast", "prow", "raven", "sail", "wave")

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("-i", "--interactive", is_flag=True, help="Keep standard input open."),
    click.option("-t", "--tty", is_flag=True, help="Give it a terminal."),
    click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended."),
    click.option("--name", default="", help="Default: a name is made up."),
    click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable."),
    click.option("-v", "--volume", multiple=True, metavar="SOURCE:TARGET[:ro]", help="Directory or named volume."),
    click.option("-p", "--publish", multiple=True, metavar="[[IP:]HOST:]PORT[/tcp]", help="Port of the host."),
    click.option("-m", "--memory", default="", metavar="SIZE", help="Limit of memory: 64m, 1g."),
    click.option("--memory-swap", default="", metavar="SIZE", help="Limit of memory and swap together; -1: no limit."),
    click.option("--cpus", default="", metavar="CORES", help="Limit of CPU: .5, 2."),
    click.option("-c", "--cpu-shares", default=0, metavar="WEIGHT", help="Share beside others; the usual is 1024."),
    click.option("--cpuset-cpus", default="", metavar="LIST", help="CPUs to run on: 0-1,3."),
    click.option("--cpuset-mems", default="", metavar="LIST", help="Memory nodes to use."),
    click.option("-u", "--user", default="", metavar="USER[:GID]", help="Name or number."),
    click.option("--group-add", multiple=True, type=int, metavar="GID", help="Supplemental group."),
    click.option("-w", "--workdir", default="", metavar="DIR", help="Working directory."),
    click.option("--entrypoint", default=None, metavar="COMMAND", help="In place of the image's."),
    click.option("-h", "--hostname", default="", help="Default: the beginning of the id."),
    click.option("--network", "--net", default="bridge", metavar="MODE", help="bridge, none, host or container:NAME."),
    click.option("--pid", default="", metavar="MODE", help="host: see the processes of the host."),
    click.option("--ipc", default="", metavar="MODE", help="host: share the host's IPC."),
    click.option("--privileged", is_flag=True, help="All capabilities and devices, nothing masked, no seccomp."),
    click.option("--cap-add", multiple=True, metavar="CAP", help="Add a capability, or ALL."),
    click.option("--cap-drop", multiple=True, metavar="CAP", help="Drop a capability, or ALL."),
    click.option("--read-only", "readonly", is_flag=True, help="The root filesystem can't be written."),
    click.option(
        "--security-opt", "security", multiple=True, metavar="OPT", help="seccomp=…, apparmor=…, no-new-privileges."
    ),
    click.option(
        "--device", multiple=True, metavar="DEVICE", help="HOST[:PATH[:rwm]] of the host, or VENDOR/CLASS=NAME by CDI."
    ),
    click.option("--sysctl", multiple=True, metavar="NAME=VALUE", help="Namespaced kernel parameter."),
    click.option("-l", "--label", multiple=True, metavar="KEY=VALUE", help="Label of the container."),
    click.option("--time-offset", default="", metavar="CLOCK=TIME", help="Clocks ahead: boottime=1h,monotonic=90s."),
    click.option("--annotation", multiple=True, metavar="KEY=VALUE", help="Annotation of the container."),
    click.option("--dns", multiple=True, metavar="ADDRESS", help="Name server."),
    click.option("--dns-search", multiple=True, metavar="DOMAIN", help="Search domain."),
    click.option("--stop-signal", default="", metavar="SIGNAL", help="In place of the image's, or SIGTERM."),
    click.option(
        "--oom-score-adj", default=0, type=click.IntRange(-1000, 1000), help="How readily the kernel kills it."
    ),
    click.option("--pull", type=click.Choice(["missing", "always", "never"]), default="missing", show_default=True),
    click.option("--platform", default="", metavar="OS/ARCH", help="Of an image with several."),
    click.option("--cidfile", type=click.Path(path_type=Path), help="Write the container's id to this file."),
    click.option("--env-file", multiple=True, type=click.Path(exists=True, dir_okay=False), help="File of NAME=VALUE."),
    click.option("--restart", default="no", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped."),
    click.option("--mount", multiple=True, metavar="type=…,source=…,target=…", help="bind, volume or tmpfs."),
    click.option("--tmpfs", multiple=True, metavar="TARGET[:OPTIONS]", help="Memory as a directory: /run:size=64m."),
    click.option("--shm-size", default="", metavar="SIZE", help="Of /dev/shm; 64m if nothing is said."),
    click.option("--ulimit", multiple=True, metavar="NAME=SOFT[:HARD]", help="Limit of each process: nofile=1024."),
    click.option("--pids-limit", default=0, metavar="NUMBER", help="Limit of processes; -1: none."),
    click.option("--add-host", multiple=True, metavar="NAME:ADDRESS", help="A line in /etc/hosts."),
    click.option("--dns-option", multiple=True, metavar="OPTION", help="Option of the resolver."),
    click.option("--init", is_flag=True, help="A first process that takes in orphans."),
    click.option("--uts", default="", metavar="MODE", help="host: the host's name."),
    click.option("--userns", default="", metavar="MODE", help="host: no user namespace, as always."),
    click.option("--stop-timeout", default=10, show_default=True, metavar="SECONDS", help="What stop waits for."),
    click.option("-q", "--quiet", is_flag=True, help="Don't show how the image comes."),
)


def run_options(command: Any) -> Any:
    """Puts all of them on a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read(image: str, command: tuple[str, ...], given: dict[str, Any]) -> RunOptions:
    """Raises Invalid."""
    policy = str(standalone.restart_policy(given["restart"]))
    if policy != "no" and given["remove"]:
        raise Invalid("--restart and --rm don't go together: a container that is removed does not come back")
    if given["userns"] not in ("", "host"):
        raise Invalid(f"userns {given['userns']!r}: only host is known")
    volumes, tmpfs = _mounts(given)
    swap = given["memory_swap"]
    return RunOptions(
        image=image,
        name=parsing.container_name(given["name"]) if given["name"] else _made_up_name(),
        command=command,
        entrypoint=given["entrypoint"],
        env=parsing.environment(given["env"], (Path(path).read_text() for path in given["env_file"]), {**os.environ}),
        volumes=volumes,
        tmpfs=tmpfs,
        ulimits=tuple(parsing.ulimit(text) for text in given["ulimit"]),
        restart=policy,
        init=given["init"],
        uts=given["uts"],
        pids_limit=given["pids_limit"],
        hosts="".join(parsing.host_entry(text) for text in given["add_host"]),
        dns_options=given["dns_option"],
        stop_timeout=given["stop_timeout"],
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
        time_offset=given["time_offset"],
        dns=given["dns"],
        dns_search=given["dns_search"],
        stop_signal=given["stop_signal"],
        oom_score_adj=given["oom_score_adj"],
        tty=given["tty"],
        interactive=given["interactive"],
        auto_remove=given["remove"],
    )


def _mounts(given: dict[str, Any]) -> tuple[tuple[parsing.Volume, ...], dict[str, str]]:
    volumes = [mounting.volume(text) for text in given["volume"]]
    tmpfs = dict(mounting.tmpfs(text) for text in given["tmpfs"])
    for text in given["mount"]:
        found = mounting.mount(text)
        if isinstance(found, parsing.Volume):
            volumes.append(found)
        else:
            tmpfs[found[0]] = found[1]
    if given["shm_size"]:
        tmpfs["/dev/shm"] = f"nosuid,nodev,noexec,mode=1777,size={parsing.size(given['shm_size'])}"
    targets = [volume.target for volume in volumes] + list(tmpfs)
    for target in targets:
        if targets.count(target) > 1:
            raise Invalid(f"duplicate mount point: {target}")
    return tuple(volumes), tmpfs


def _made_up_name() -> str:
    return f"{secrets.choice(ADJECTIVES)}_{secrets.choice(NOUNS)}_{secrets.token_hex(2)}"

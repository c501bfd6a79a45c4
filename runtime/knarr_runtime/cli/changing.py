"""Verbs that change containers: update, rename, commit."""

from __future__ import annotations

from typing import Any

import click

from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import configs, parsing
from knarr_runtime.cli.configs import RunOptions
from knarr_runtime.cli.names import CONTAINER
from knarr_runtime.cli.session import QUICK_S, Session, each_container, fail, failures, session
from knarr_runtime.cli.verbs import verb
from knarr_runtime.cri import standalone


@verb(short_help="Change limits or restart policy of containers")
@click.argument("containers", nargs=-1, required=True, shell_complete=CONTAINER)
@click.option("-m", "--memory", default="", metavar="SIZE", help="Limit of memory: 64m, 1g.")
@click.option("--memory-swap", default="", metavar="SIZE", help="Limit of memory and swap together; -1: no limit.")
@click.option("--cpus", default="", metavar="CORES", help="Limit of CPU: .5, 2.")
@click.option("-c", "--cpu-shares", default=0, metavar="WEIGHT", help="Share beside others; the usual is 1024.")
@click.option("--cpuset-cpus", default="", metavar="LIST", help="CPUs to run on: 0-1,3.")
@click.option("--cpuset-mems", default="", metavar="LIST", help="Memory nodes to use.")
@click.option("--pids-limit", default=0, metavar="NUMBER", help="Limit of processes; -1: none.")
@click.option("--restart", default="", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped.")
def update(containers: tuple[str, ...], **given: Any) -> None:
    """Change what is named, of containers that run as well; it holds for their next starts, too.

    \b
    Examples:
      knarr-runtime update -m 256m --cpus 1.5 web
      knarr-runtime update --restart unless-stopped web database
    """
    with failures():
        if not any(given.values()):
            fail("nothing to change: name a limit, or --restart")
        swap = given["memory_swap"]
        limits = configs.resources(
            RunOptions(
                image="",
                name="",
                memory=parsing.size(given["memory"]) if given["memory"] else 0,
                memory_swap=-1 if swap == "-1" else parsing.size(swap) if swap else 0,
                cpus=parsing.cpus(given["cpus"]) if given["cpus"] else 0.0,
                cpu_shares=given["cpu_shares"],
                cpuset_cpus=given["cpuset_cpus"],
                cpuset_mems=given["cpuset_mems"],
                pids_limit=given["pids_limit"],
            )
        )
        policy = str(standalone.restart_policy(given["restart"])) if given["restart"] else ""

    def one(connected: Session, container: Any) -> None:
        request = containers_pb2.ChangeRequest(
            container_id=container.id, restart=policy, resources=limits.SerializeToString()
        )
        connected.containers.Change(request, timeout=QUICK_S)

    each_container(containers, one)


@verb(short_help="Give a container another name")
@click.argument("container", shell_complete=CONTAINER)
@click.argument("name")
def rename(container: str, name: str) -> None:
    """CONTAINER is called NAME from now on.

    \b
    Example:
      knarr-runtime rename web web-old
    """
    with failures():
        connected = session()
        found = connected.find_container(container)
        request = containers_pb2.ChangeRequest(container_id=found.id, name=parsing.container_name(name))
        connected.containers.Change(request, timeout=QUICK_S)


@verb(short_help="Make an image of a container")
@click.argument("container", shell_complete=CONTAINER)
@click.argument("name", required=False)
@click.option("-a", "--author", default="", help="Who made it.")
@click.option("-m", "--message", default="", help="Why; it stands in the image's history.")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="As in a Dockerfile: 'CMD [\"sh\"]'."
)
@click.option("-p", "--pause/--no-pause", default=True, help="Hold the container meanwhile.")
def commit(container: str, name: str | None, author: str, message: str, changes: tuple[str, ...], pause: bool) -> None:
    """What CONTAINER has written becomes one more layer on its image; volumes are no part of it.

    \b
    Example:
      knarr-runtime commit -m 'with data' -c 'CMD ["httpd", "-f"]' web web:2
    """
    with failures():
        connected = session()
        found = connected.find_container(container)
        request = containers_pb2.CommitRequest(
            container_id=found.id,
            tags=[name] if name else [],
            author=author,
            comment=message,
            changes=changes,
            pause=pause,
        )
        click.echo(connected.containers.Commit(request).image_id)

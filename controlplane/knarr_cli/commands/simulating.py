"""``simulate``: where things would go, and whether they would survive a node's loss. Touches no cluster."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid, KnarrError
from knarr_cli import manifests, output
from knarr_cli.refusal import explain
from knarr_cli.session import session
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient

THERE = tuple(kinds.lookup(name) for name in ("namespaces", "priorityclasses", "poddisruptionbudgets", "replicasets"))
NODE, POD = kinds.by_kind("v1", "Node"), kinds.by_kind("v1", "Pod")
ALIKE = re.compile(r"(?P<count>\d+)x(?P<cpu>[^,x]+),(?P<memory>[^,]+)")
CONTROLPLANE = "knarr_controlplane.simulate"
MAX_SHOWN = 10


@click.command(
    cls=Verb,
    name="simulate",
    epilog="""\b
Examples:
  knarr simulate -f manifests/                        # on the nodes of the cluster, beside what runs there
  knarr simulate -f web.yaml --nodes nodes.yaml       # on nodes that need not exist
  knarr simulate -f web.yaml --nodes 5x4,16Gi         # five nodes of 4 cores and 16Gi each
  knarr simulate -f web.yaml --scale web=50 --kill-node n2
  knarr simulate -f web.yaml --nodes 3x2,4Gi -o json""",
)
@click.option("-f", "--filename", "sources", multiple=True, required=True, help="File, directory, or - for stdin.")
@click.option("-R", "--recursive", is_flag=True, help="Directories below directories, too.")
@click.option("--nodes", "nodes", metavar="FILE|NxCPU,MEMORY", help="Instead of the cluster's.")
@click.option("--scale", multiple=True, metavar="NAME=N", help="As many replicas as this instead of its own number.")
@click.option("--kill-node", "kill", multiple=True, metavar="NODE", help="Then lose this node; may be repeated.")
@click.option("-o", "--output", "form", default="", metavar="FORM", help="wide, json or yaml.")
@click.pass_context
def simulate_command(
    ctx: click.Context,
    sources: tuple[str, ...],
    recursive: bool,
    nodes: str | None,
    scale: tuple[str, ...],
    kill: tuple[str, ...],
    form: str,
) -> None:
    """Say where the pods of manifests would go, without touching a cluster.

    With --kill-node also where they would go then. The decisions are the scheduler's own. Pods of theirs that run
    already stay where they are. Exits with 1 if a pod would find no place or be lost, with 2 if it can't be said.
    """
    documents = [each.document for each in manifests.read(sources, recursive=recursive)]
    question: dict[str, Any] = {"objects": documents, "scale": _scaled(scale), "kill": list(kill)}
    question |= session(ctx).run(_of_cluster) if nodes is None else {"nodes": _alike(nodes) or _from_file(nodes)}
    try:
        stages = ask(question)
    except KnarrError as error:
        click.echo(explain(error), err=True)
        ctx.exit(2)
    if form in ("json", "yaml"):
        output.document(form, {"stages": stages})
    else:
        for number, stage in enumerate(stages):
            output.write(("\n" if number else "") + _told(stage, first=not number))
            _tables(stage, wide=form == "wide")
    if any(stage["refused"] or stage["lost"] for stage in stages):
        ctx.exit(1)


commands = (simulate_command,)


def ask(question: dict[str, Any]) -> list[dict[str, Any]]:
    """The stages as the control plane's scheduler sees them. Raises Invalid for what it can't use."""
    argv = [sys.executable, "-m", CONTROLPLANE]
    done = subprocess.run(argv, input=json.dumps(question).encode(), capture_output=True, check=False)
    if done.returncode:
        raise KnarrError(f"the simulation failed: {done.stderr.decode(errors='replace').strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise Invalid(answer["error"])
    stages: list[dict[str, Any]] = answer["stages"]
    return stages


async def _of_cluster(client: GrpcClient) -> dict[str, Any]:
    pods = (await client.raw.list(POD)).items
    return {
        "nodes": list((await client.raw.list(NODE)).items),
        "pods": [
            pod
            for pod in pods
            if pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ],
        "there": [document for kind in THERE for document in (await client.raw.list(kind)).items],
    }


def _from_file(name: str) -> list[dict[str, Any]]:
    if not Path(name).exists():
        raise Invalid(f'--nodes {name}: neither a file nor nodes alike like "5x4,16Gi"')
    found = [each.document for each in manifests.read((name,)) if each.kind is NODE]
    if not found:
        raise Invalid(f"--nodes {name}: no Node in it")
    return found


def _alike(text: str) -> list[dict[str, Any]]:
    match = ALIKE.fullmatch(text)
    if match is None:
        return []
    amounts = {"cpu": match["cpu"], "memory": match["memory"], "pods": "110"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"n{number}",
                "labels": {"kubernetes.io/hostname": f"n{number}", "kubernetes.io/os": "linux"},
            },
            "status": {"allocatable": amounts},
        }
        for number in range(1, int(match["count"]) + 1)
    ]


def _scaled(given: tuple[str, ...]) -> dict[str, int]:
    scaled: dict[str, int] = {}
    for text in given:
        name, equals, number = text.partition("=")
        if not equals or not number.isdigit():
            raise click.UsageError(f'--scale "{text}": expected NAME=N')
        kind, _, plain = name.rpartition("/")
        scaled[f"{kinds.lookup(kind).kind}/{plain}" if kind else plain] = int(number)
    return scaled


def _told(stage: dict[str, Any], *, first: bool) -> str:
    placed = sum(sum(nodes.values()) for nodes in stage["placed"].values())
    nowhere = len(stage["refused"])
    if first:
        text = f"{placed} pods placed on {len(stage['nodes'])} nodes"
        text += f" ({stage['running']} run already)" if stage["running"] else ""
    else:
        text = f"{stage['title']}: {stage['moved']} pods have to move"
    parts = [text]
    if nowhere:
        parts.append(f"{nowhere} find no place")
    if stage["lost"]:
        parts.append(f"{len(stage['lost'])} are lost for good")
    if stage["preempted"]:
        parts.append(f"{len(stage['preempted'])} are preempted")
    return ", ".join(parts)


def _tables(stage: dict[str, Any], *, wide: bool) -> None:
    rows = []
    for name, nodes in stage["placed"].items():
        nowhere = sum(refused["workload"] == name for refused in stage["refused"])
        where = " ".join(f"{node}:{count}" for node, count in sorted(nodes.items(), key=_by_count))
        if not wide and len(nodes) > MAX_SHOWN:
            where = f"{len(nodes)} nodes, {min(nodes.values())} to {max(nodes.values())} each"
        rows.append((name, str(sum(nodes.values()) + nowhere), str(sum(nodes.values())), where))
    output.table(("WORKLOAD", "PODS", "PLACED", "WHERE"), rows)
    output.write("")
    shown = stage["nodes"] if wide else sorted(stage["nodes"], key=_fullness, reverse=True)[:MAX_SHOWN]
    output.table(
        ("NODE", "PODS", "CPU", "MEMORY"),
        [(node["name"], str(node["pods"]), _share(node, "cpu"), _share(node, "memory")) for node in shown],
    )
    if len(shown) < len(stage["nodes"]):
        output.write(f"… and {len(stage['nodes']) - len(shown)} more nodes that are emptier: -o wide shows all")
    for refused in stage["refused"][: None if wide else MAX_SHOWN]:
        output.write(f"✗ {refused['pod']} ({refused['workload']}): {refused['message']}")
    if not wide and len(stage["refused"]) > MAX_SHOWN:
        output.write(f"… and {len(stage['refused']) - MAX_SHOWN} more: -o wide shows all")
    for name in stage["lost"]:
        output.write(f"✗ {name}: nothing makes it anew")
    for name in stage["down"]:
        output.write(f"! {name} is down until its pods run elsewhere: all of them were there")
    for name in stage["preempted"]:
        output.write(f"! {name} is preempted")


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return (-item[1], item[0])


def _fullness(node: dict[str, Any]) -> float:
    return max(_used(node, resource) for resource in ("cpu", "memory", "pods"))


def _used(node: dict[str, Any], resource: str) -> float:
    have = node["allocatable"].get(resource, 0)
    return node["requested"].get(resource, 0) / have if have else 1.0


def _share(node: dict[str, Any], resource: str) -> str:
    """``1500m/4 (37%)``."""
    used, have = node["requested"].get(resource, 0), node["allocatable"].get(resource, 0)
    write = _cores if resource == "cpu" else _bytes
    return f"{write(used)}/{write(have)} ({round(100 * _used(node, resource))}%)"


def _cores(milli: int) -> str:
    return f"{milli}m" if milli % 1000 else str(milli // 1000)


def _bytes(number: int) -> str:
    for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)

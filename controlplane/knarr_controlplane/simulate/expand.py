"""From workloads to the pods that their controllers would make, beside those that run already. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import Node, Pod, PodTemplateSpec
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_controlplane.controllers.daemonset import placing

replace = msgspec.structs.replace

SCALED = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")
FINITE = ("Job", "CronJob")


@dataclass(frozen=True, slots=True)
class Workload:
    """An object that has pods. name: ``deployment/web``, with its namespace unless that is ``default``.

    follows_nodes: one pod a node; they end with their node. replaced: a pod whose node is lost is made anew. asked: it
    is of the manifests, and not just there. running: how many of the pods run already.
    """

    name: str
    pods: tuple[Pod, ...]
    follows_nodes: bool = False
    replaced: bool = True
    asked: bool = True
    running: int = 0

    @property
    def ends(self) -> bool:
        """Its pods end by themselves."""
        return self.name.split("/")[-2] in ("job", "cronjob")


def has_pods(obj: Any) -> bool:
    return kinds.of(obj).kind in ("Pod", "DaemonSet", *SCALED, *FINITE)


def name_of(kind: str, namespace: str, name: str) -> str:
    return f"{kind.lower()}/{name}" if namespace in ("", "default") else f"{namespace}/{kind.lower()}/{name}"


def workload(
    obj: Any, nodes: tuple[Node, ...], replicas: int | None = None, running: Sequence[Pod] = ()
) -> Workload | None:
    """None for what has no pods. replicas: instead of its own number; running: those of its pods that run already.

    Raises Invalid where it can't be scaled.
    """
    kind, metadata = kinds.of(obj).kind, obj.metadata
    name = name_of(kind, metadata.namespace, metadata.name)
    if replicas is not None and kind not in (*SCALED, *FINITE):
        raise Invalid(f"--scale {metadata.name}: a {kind} has no number of replicas")
    if isinstance(obj, Pod):
        pod = running[0] if running else replace(obj, metadata=_placed(metadata, metadata.name))
        return Workload(name, (pod,), replaced=False, running=len(running))
    if kind == "DaemonSet":
        there = {pod.spec.node_name for pod in running}
        more = _daemons(obj, tuple(node for node in nodes if node.metadata.name not in there))
        return Workload(name, (*running, *more), follows_nodes=True, running=len(running))
    if kind in SCALED:
        own = obj.spec.replicas
        count = replicas if replicas is not None else 1 if own is None else own
    elif kind in FINITE:
        job = obj.spec if kind == "Job" else obj.spec.job_template.spec
        count = replicas if replicas is not None else _of_job(job)
        return _with(name, obj, job.template, count, running)
    else:
        return None
    return _with(name, obj, obj.spec.template, count, running)


def _of_job(job: Any) -> int:
    """How many of its pods run at once."""
    together = job.parallelism if job.parallelism is not None else 1
    needed = job.completions if job.completions is not None else together
    return 0 if job.suspend else min(together, needed)


def _with(name: str, obj: Any, template: PodTemplateSpec | None, count: int, running: Sequence[Pod]) -> Workload:
    kept = tuple(running[:count])
    taken = {pod.metadata.name for pod in kept}
    made = (_pod(obj, template, number) for number in range(count + len(kept)))
    new = [pod for pod in made if pod.metadata.name not in taken][: count - len(kept)]
    return Workload(name, (*kept, *new), running=len(kept))


def _daemons(obj: Any, nodes: tuple[Node, ...]) -> Iterator[Pod]:
    """As the DaemonSet controller would make them."""
    for number, node in enumerate(nodes):
        if placing.fit(obj, node).run:
            pod = _pod(obj, obj.spec.template, number)
            yield replace(pod, spec=placing.pinned(placing.with_tolerations(pod.spec), node.metadata.name))


def _pod(owner: Any, template: PodTemplateSpec | None, number: int) -> Pod:
    template = template or PodTemplateSpec()
    metadata, kind = owner.metadata, kinds.of(owner).kind
    reference = OwnerReference(
        api_version=kinds.of(owner).api_version,
        kind="ReplicaSet" if kind == "Deployment" else kind,
        name=metadata.name,
        uid=f"{kind}/{metadata.namespace}/{metadata.name}",
        controller=True,
    )
    stem = metadata.name if kind == "StatefulSet" else f"{metadata.name}-{kind.lower()}"
    named = _placed(metadata, f"{stem}-{number}")
    return Pod(
        metadata=replace(named, labels=template.metadata.labels, owner_references=(reference,)), spec=template.spec
    )


def _placed(metadata: ObjectMeta, name: str) -> ObjectMeta:
    namespace = metadata.namespace or "default"
    return ObjectMeta(name=name, namespace=namespace, uid=f"{namespace}/{name}", labels=metadata.labels)

"""Objects as rows, with kubectl's columns. Pure: the time is an argument."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from knarr_api.kinds import Kind
from knarr_cli.cells import (
    NONE,
    Document,
    about,
    access_modes,
    address,
    age,
    at,
    bound_claim,
    completions,
    controller,
    duration_of,
    endpoints,
    event_age,
    hosts,
    images,
    ingress_address,
    job_status,
    names,
    node_status,
    of,
    parameters,
    path,
    pod_ready,
    pod_restarts,
    pod_selector,
    pod_status,
    ports,
    roles,
    selector,
    slice_addresses,
    slice_ports,
    targets,
    used,
)


@dataclass(frozen=True, slots=True)
class Column:
    """wide: shown with ``-o wide`` only."""

    title: str
    cell: Callable[[Document, datetime.datetime], str]
    wide: bool = False


NAME = Column("NAME", path("metadata.name", ""))
AGE = Column("AGE", lambda document, now: age(at(document, "metadata.creationTimestamp"), now))


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "Pod": (
        NAME,
        Column("READY", of(pod_ready)),
        Column("STATUS", of(pod_status)),
        Column("RESTARTS", pod_restarts),
        AGE,
        Column("IP", path("status.podIP"), wide=True),
        Column("NODE", path("spec.nodeName"), wide=True),
        Column("NOMINATED NODE", path("status.nominatedNodeName"), wide=True),
        Column("READINESS GATES", lambda *_: NONE, wide=True),
    ),
    "Deployment": (
        NAME,
        Column("READY", of(lambda d: f"{at(d, 'status.readyReplicas', 0)}/{at(d, 'spec.replicas', 1)}")),
        Column("UP-TO-DATE", path("status.updatedReplicas", "0")),
        Column("AVAILABLE", path("status.availableReplicas", "0")),
        AGE,
        Column("CONTAINERS", of(names), wide=True),
        Column("IMAGES", of(images), wide=True),
        Column("SELECTOR", of(selector), wide=True),
    ),
    "ReplicaSet": (
        NAME,
        Column("DESIRED", path("spec.replicas", "0")),
        Column("CURRENT", path("status.replicas", "0")),
        Column("READY", path("status.readyReplicas", "0")),
        AGE,
        Column("CONTAINERS", of(names), wide=True),
        Column("IMAGES", of(images), wide=True),
        Column("SELECTOR", of(selector), wide=True),
    ),
    "ReplicationController": (
        NAME,
        Column("DESIRED", path("spec.replicas", "0")),
        Column("CURRENT", path("status.replicas", "0")),
        Column("READY", path("status.readyReplicas", "0")),
        AGE,
        Column("CONTAINERS", of(names), wide=True),
        Column("IMAGES", of(images), wide=True),
        Column("SELECTOR", of(selector), wide=True),
    ),
    "NetworkPolicy": (NAME, Column("POD-SELECTOR", of(pod_selector)), AGE),
    "RuntimeClass": (NAME, Column("HANDLER", path("handler", "")), AGE),
    "IngressClass": (
        NAME,
        Column("CONTROLLER", path("spec.controller", "")),
        Column("PARAMETERS", of(parameters)),
        AGE,
    ),
    "Endpoints": (NAME, Column("ENDPOINTS", of(endpoints)), AGE),
    "EndpointSlice": (
        NAME,
        Column("ADDRESSTYPE", path("addressType", "")),
        Column("PORTS", of(slice_ports)),
        Column("ENDPOINTS", of(slice_addresses)),
        AGE,
    ),
    "CustomResourceDefinition": (NAME, Column("CREATED AT", path("metadata.creationTimestamp"))),
    "MutatingWebhookConfiguration": (NAME, Column("WEBHOOKS", of(lambda d: str(len(at(d, "webhooks", []))))), AGE),
    "ValidatingWebhookConfiguration": (NAME, Column("WEBHOOKS", of(lambda d: str(len(at(d, "webhooks", []))))), AGE),
    "ControllerRevision": (
        NAME,
        Column("CONTROLLER", of(controller)),
        Column("REVISION", path("revision", "0")),
        AGE,
    ),
    "Node": (
        NAME,
        Column("STATUS", of(node_status)),
        Column("ROLES", of(roles)),
        AGE,
        Column("VERSION", path("status.nodeInfo.kubeletVersion")),
        Column("INTERNAL-IP", of(lambda d: address(d, "InternalIP")), wide=True),
        Column("EXTERNAL-IP", of(lambda d: address(d, "ExternalIP")), wide=True),
        Column("OS-IMAGE", path("status.nodeInfo.osImage"), wide=True),
        Column("KERNEL-VERSION", path("status.nodeInfo.kernelVersion"), wide=True),
        Column("CONTAINER-RUNTIME", path("status.nodeInfo.containerRuntimeVersion"), wide=True),
    ),
    "Namespace": (NAME, Column("STATUS", path("status.phase", "Active")), AGE),
    "ConfigMap": (
        NAME,
        Column("DATA", of(lambda d: str(len(d.get("data") or {}) + len(d.get("binaryData") or {})))),
        AGE,
    ),
    "Secret": (
        NAME,
        Column("TYPE", path("type", "Opaque")),
        Column("DATA", of(lambda d: str(len(d.get("data") or {})))),
        AGE,
    ),
    "Lease": (NAME, Column("HOLDER", path("spec.holderIdentity", "")), AGE),
    "Service": (
        NAME,
        Column("TYPE", path("spec.type", "ClusterIP")),
        Column("CLUSTER-IP", path("spec.clusterIP")),
        Column("EXTERNAL-IP", lambda *_: NONE),
        Column("PORT(S)", of(lambda d: ports(d))),
        AGE,
        Column("SELECTOR", of(selector), wide=True),
    ),
    "StatefulSet": (
        NAME,
        Column("READY", of(lambda d: f"{at(d, 'status.readyReplicas', 0)}/{at(d, 'spec.replicas', 1)}")),
        AGE,
        Column("CONTAINERS", of(names), wide=True),
        Column("IMAGES", of(images), wide=True),
    ),
    "DaemonSet": (
        NAME,
        Column("DESIRED", path("status.desiredNumberScheduled", "0")),
        Column("CURRENT", path("status.currentNumberScheduled", "0")),
        Column("READY", path("status.numberReady", "0")),
        Column("UP-TO-DATE", path("status.updatedNumberScheduled", "0")),
        Column("AVAILABLE", path("status.numberAvailable", "0")),
        AGE,
        Column("CONTAINERS", of(names), wide=True),
        Column("IMAGES", of(images), wide=True),
        Column("SELECTOR", of(selector), wide=True),
    ),
    "Job": (
        NAME,
        Column("STATUS", of(job_status)),
        Column("COMPLETIONS", of(completions)),
        Column("DURATION", duration_of),
        AGE,
        Column("CONTAINERS", of(names), wide=True),
        Column("IMAGES", of(images), wide=True),
        Column("SELECTOR", of(selector), wide=True),
    ),
    "HorizontalPodAutoscaler": (
        NAME,
        Column("REFERENCE", of(lambda d: f"{at(d, 'spec.scaleTargetRef.kind')}/{at(d, 'spec.scaleTargetRef.name')}")),
        Column("TARGETS", of(targets)),
        Column("MINPODS", path("spec.minReplicas", "1")),
        Column("MAXPODS", path("spec.maxReplicas", "")),
        Column("REPLICAS", path("status.currentReplicas", "0")),
        AGE,
    ),
    "ResourceQuota": (
        NAME,
        Column("REQUEST", of(lambda d: used(d, limits=False))),
        Column("LIMIT", of(lambda d: used(d, limits=True))),
        AGE,
    ),
    "LimitRange": (NAME, Column("CREATED AT", path("metadata.creationTimestamp"))),
    "CronJob": (
        NAME,
        Column("SCHEDULE", path("spec.schedule", "")),
        Column("TIMEZONE", path("spec.timeZone")),
        Column("SUSPEND", of(lambda d: str(bool(at(d, "spec.suspend", False))))),
        Column("ACTIVE", of(lambda d: str(len(at(d, "status.active", []))))),
        Column("LAST SCHEDULE", lambda d, now: age(s, now) if (s := at(d, "status.lastScheduleTime")) else NONE),
        AGE,
    ),
    "ServiceAccount": (NAME, AGE),
    "Ingress": (
        NAME,
        Column("CLASS", path("spec.ingressClassName")),
        Column("HOSTS", of(hosts)),
        Column("ADDRESS", of(ingress_address)),
        Column("PORTS", of(lambda d: "80, 443" if at(d, "spec.tls", []) else "80")),
        AGE,
    ),
    "PersistentVolumeClaim": (
        NAME,
        Column("STATUS", path("status.phase", "Pending")),
        Column("VOLUME", path("spec.volumeName", "")),
        Column("CAPACITY", path("status.capacity.storage", "")),
        Column("ACCESS MODES", of(access_modes)),
        Column("STORAGECLASS", path("spec.storageClassName", "")),
        Column("VOLUMEATTRIBUTESCLASS", path("spec.volumeAttributesClassName", "<unset>")),
        AGE,
        Column("VOLUMEMODE", path("spec.volumeMode", "Filesystem"), wide=True),
    ),
    "PersistentVolume": (
        NAME,
        Column("CAPACITY", path("spec.capacity.storage", "")),
        Column("ACCESS MODES", of(access_modes)),
        Column("RECLAIM POLICY", path("spec.persistentVolumeReclaimPolicy", "Retain")),
        Column("STATUS", path("status.phase", "Available")),
        Column("CLAIM", of(bound_claim)),
        Column("STORAGECLASS", path("spec.storageClassName", "")),
        Column("VOLUMEATTRIBUTESCLASS", path("spec.volumeAttributesClassName", "<unset>")),
        Column("REASON", path("status.reason", "")),
        AGE,
        Column("VOLUMEMODE", path("spec.volumeMode", "Filesystem"), wide=True),
    ),
    "StorageClass": (
        NAME,
        Column("PROVISIONER", path("provisioner", "")),
        Column("RECLAIMPOLICY", path("reclaimPolicy", "Delete")),
        Column("VOLUMEBINDINGMODE", path("volumeBindingMode", "Immediate")),
        Column("ALLOWVOLUMEEXPANSION", of(lambda d: str(bool(d.get("allowVolumeExpansion"))).lower())),
        AGE,
    ),
    "PodDisruptionBudget": (
        NAME,
        Column("MIN AVAILABLE", path("spec.minAvailable", "N/A")),
        Column("MAX UNAVAILABLE", path("spec.maxUnavailable", "N/A")),
        Column("ALLOWED DISRUPTIONS", path("status.disruptionsAllowed", "0")),
        AGE,
    ),
    "PriorityClass": (
        NAME,
        Column("VALUE", path("value", "0")),
        Column("GLOBAL-DEFAULT", of(lambda d: str(bool(d.get("globalDefault"))).lower())),
        AGE,
        Column("PREEMPTIONPOLICY", path("preemptionPolicy", "PreemptLowerPriority")),
    ),
    "ClusterRole": (NAME, Column("CREATED AT", path("metadata.creationTimestamp"))),
    "ClusterRoleBinding": (
        NAME,
        Column("ROLE", of(lambda d: f"{at(d, 'roleRef.kind')}/{at(d, 'roleRef.name')}")),
        AGE,
    ),
    "RoleBinding": (NAME, Column("ROLE", of(lambda d: f"{at(d, 'roleRef.kind')}/{at(d, 'roleRef.name')}")), AGE),
    "Role": (NAME, Column("CREATED AT", path("metadata.creationTimestamp"))),
    "Event": (
        Column("LAST SEEN", event_age),
        Column("TYPE", path("type", "")),
        Column("REASON", path("reason", "")),
        Column("OBJECT", of(about)),
        Column("SOURCE", path("source.component", ""), wide=True),
        Column("MESSAGE", of(lambda d: str(d.get("message") or d.get("note") or "").strip().replace("\n", " "))),
    ),
}


def columns(kind: Kind, *, wide: bool) -> tuple[Column, ...]:
    """The kind's columns, NAME and AGE for kinds without their own."""
    return tuple(column for column in COLUMNS.get(kind.kind, (NAME, AGE)) if wide or not column.wide)


def rows(
    kind: Kind,
    documents: Iterable[Document],
    now: datetime.datetime,
    *,
    wide: bool = False,
    with_namespace: bool = False,
    with_labels: bool = False,
    name_prefix: str = "",
    label_columns: Sequence[str] = (),
) -> tuple[list[str], list[list[str]]]:
    """Titles and cells. label_columns: labels that get a column of their own."""
    shown = columns(kind, wide=wide)
    titles = [*(["NAMESPACE"] if with_namespace else []), *(column.title for column in shown)]
    titles += [label.rpartition("/")[2].upper() for label in label_columns]
    titles += ["LABELS"] if with_labels else []
    table: list[list[str]] = []
    for document in documents:
        cells = [column.cell(document, now) for column in shown]
        if name_prefix and shown[0] is NAME:
            cells[0] = f"{name_prefix}{cells[0]}"
        if with_namespace:
            cells.insert(0, at(document, "metadata.namespace"))
        labels = at(document, "metadata.labels", {})
        cells += [str(labels.get(label, "")) for label in label_columns]
        if with_labels:
            cells.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE)
        table.append(cells)
    return titles, table


CONTROL = {code: f"^{chr(code ^ 64)}" for code in (*range(32), 127) if chr(code) not in "\n\t"} | {
    code: f"\\x{code:x}" for code in range(0x80, 0xA0)
}


def printable(text: str) -> str:
    """Without control characters, with which text of others could take over the terminal."""
    return text if text.isprintable() else text.translate(CONTROL)


def one_line(text: str) -> str:
    """As a cell of a table: the first line, with ``...`` where there is more."""
    if text.isprintable():
        return text
    first, newline, _ = text.partition("\n")
    return printable(first).replace("\t", " ") + ("..." if newline else "")


def layout(titles: Sequence[str], table: Sequence[Sequence[str]], *, headers: bool = True) -> list[str]:
    """Aligned lines, three blanks between columns."""
    rows_shown = [[one_line(cell) for cell in row] for row in table]
    lines = [list(titles), *rows_shown] if headers else rows_shown
    widths = [max((len(row[index]) for row in lines), default=0) for index in range(len(titles))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines]

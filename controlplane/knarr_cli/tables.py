"""Objects as rows, with kubectl's columns. Pure: the time is an argument."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knarr_api.kinds import Kind

Document = Mapping[str, Any]
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """wide: shown with ``-o wide`` only."""

    title: str
    cell: Callable[[Document, datetime.datetime], str]
    wide: bool = False


def at(document: Any, path: str, default: Any = "") -> Any:
    """A value by dotted path; default where a part is missing."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, Mapping) else None
    return default if document is None else document


def age(stamp: str, now: datetime.datetime) -> str:
    """``5s``, ``3m20s``, ``2h5m``, ``3d4h``, ``15d``, as kubectl shortens it."""
    if not stamp:
        return "<unknown>"
    try:
        then = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    return duration(int((now - then).total_seconds()))


def duration(seconds: int) -> str:
    seconds = max(seconds, 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 365 * 8 else f"{days // 365}y"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"


def pod_ready(pod: Document) -> str:
    """``1/2``."""
    statuses = at(pod, "status.containerStatuses", [])
    return f"{sum(bool(s.get('ready')) for s in statuses)}/{len(at(pod, 'spec.containers', []))}"


def pod_restarts(pod: Document, now: datetime.datetime) -> str:
    """``2 (10s ago)``."""
    statuses = [*at(pod, "status.containerStatuses", []), *at(pod, "status.initContainerStatuses", [])]
    count = sum(s.get("restartCount") or 0 for s in statuses)
    ends = [at(s, "lastState.terminated.finishedAt") for s in statuses]
    last = max((end for end in ends if end), default="")
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


def pod_status(pod: Document) -> str:
    """The STATUS column: the phase, or what a container says that matters more."""
    reason = at(pod, "status.reason") or at(pod, "status.phase") or "Pending"
    specs = {c["name"]: c for c in at(pod, "spec.initContainers", [])}
    conditions = {c["type"]: c for c in at(pod, "status.conditions", [])}
    initializing = False
    inits = at(pod, "status.initContainerStatuses", [])
    for number, status in enumerate(inits):
        state = status.get("state") or {}
        ended = state.get("terminated")
        sidecar = specs.get(status["name"], {}).get("restartPolicy") == "Always"
        if (ended and not ended.get("exitCode")) or (sidecar and status.get("started")):
            continue
        if ended:
            signal, code = ended.get("signal"), ended.get("exitCode")
            what = f"Signal:{signal}" if signal else f"ExitCode:{code}"
            reason = f"Init:{ended.get('reason') or what}"
        elif at(state, "waiting.reason") not in ("", "PodInitializing", "ContainerCreating"):
            reason = f"Init:{state['waiting']['reason']}"
        else:
            reason = f"Init:{number}/{len(specs)}"
        initializing = True
        break
    if not initializing:
        if reason == "Pending" and conditions.get("PodScheduled", {}).get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
        running = False
        for status in reversed(at(pod, "status.containerStatuses", [])):
            state = status.get("state") or {}
            if at(state, "waiting.reason"):
                reason = state["waiting"]["reason"]
            elif state.get("terminated"):
                ended = state["terminated"]
                signal, code = ended.get("signal"), ended.get("exitCode")
                reason = ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")
            elif state.get("running") is not None and status.get("ready"):
                running = True
        if reason == "Completed" and running:
            reason = "Running" if conditions.get("Ready", {}).get("status") == "True" else "NotReady"
    if at(pod, "metadata.deletionTimestamp"):
        return "Unknown" if at(pod, "status.reason") == "NodeLost" else "Terminating"
    return str(reason)


def node_status(node: Document) -> str:
    ready = next((c["status"] for c in at(node, "status.conditions", []) if c["type"] == "Ready"), "Unknown")
    text = {"True": "Ready", "False": "NotReady"}.get(ready, "NotReady")
    return f"{text},SchedulingDisabled" if at(node, "spec.unschedulable") else text


def _roles(node: Document) -> str:
    prefix = "node-role.kubernetes.io/"
    return (
        ",".join(sorted(k.removeprefix(prefix) for k in at(node, "metadata.labels", {}) if k.startswith(prefix)))
        or NONE
    )


def _address(node: Document, kind: str) -> str:
    return next((a["address"] for a in at(node, "status.addresses", []) if a["type"] == kind), NONE)


def selector(document: Document) -> str:
    given = at(document, "spec.selector", {})
    labels = given.get("matchLabels") or {key: value for key, value in given.items() if isinstance(value, str)}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def _images(document: Document) -> str:
    containers = at(document, "spec.template.spec.containers", [])
    return ",".join(container.get("image", "") for container in containers) or NONE


def _names(document: Document) -> str:
    return ",".join(container["name"] for container in at(document, "spec.template.spec.containers", [])) or NONE


def _path(path: str, default: str = NONE) -> Callable[[Document, datetime.datetime], str]:
    def cell(document: Document, _: datetime.datetime) -> str:
        value = at(document, path, "")
        return default if value in ("", None) else str(value)

    return cell


def _of(function: Callable[[Document], str]) -> Callable[[Document, datetime.datetime], str]:
    return lambda document, _: function(document)


def _event_age(document: Document, now: datetime.datetime) -> str:
    stamp = document.get("lastTimestamp") or document.get("eventTime") or at(document, "metadata.creationTimestamp")
    count = document.get("count") or 1
    if count > 1 and document.get("firstTimestamp"):
        return f"{age(stamp, now)} (x{count} over {age(document['firstTimestamp'], now)})"
    return age(stamp, now)


def _about(event: Document) -> str:
    """The object of an event of either group."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _job_status(job: Document) -> str:
    true = {c["type"] for c in at(job, "status.conditions", []) if c.get("status") == "True"}
    found = next((name for name in ("Complete", "Failed", "Suspended") if name in true), "")
    return found or ("Suspended" if at(job, "spec.suspend", False) else "Running")


def _completions(job: Document) -> str:
    done, wanted = at(job, "status.succeeded", 0), at(job, "spec", {}).get("completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = at(job, "spec.parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _controller(document: Document) -> str:
    """As ``daemonset.apps/agent``."""
    owner = next((o for o in at(document, "metadata.ownerReferences", []) if o.get("controller")), None)
    if owner is None:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind'].lower()}{'.' if group else ''}{group}/{owner['name']}"


def duration_of(job: Document, now: datetime.datetime) -> str:
    start, end = at(job, "status.startTime"), at(job, "status.completionTime")
    if not start:
        return ""
    return age(start, datetime.datetime.fromisoformat(end.replace("Z", "+00:00")) if end else now)


def _hosts(ingress: Document) -> str:
    return ",".join(rule.get("host") or "*" for rule in at(ingress, "spec.rules", [])) or "*"


ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _access_modes(document: Document) -> str:
    return ",".join(ACCESS_MODES.get(mode, mode) for mode in at(document, "spec.accessModes", []))


NAME = Column("NAME", _path("metadata.name", ""))
AGE = Column("AGE", lambda document, now: age(at(document, "metadata.creationTimestamp"), now))


def _targets(autoscaler: Document) -> str:
    """``cpu: 20%/50%``, as the status has it; ``<unknown>`` where it has nothing."""
    current = {_metric_key(metric): metric for metric in at(autoscaler, "status.currentMetrics", [])}
    shown = []
    for metric in at(autoscaler, "spec.metrics", []):
        name, field = _metric_key(metric)
        target = at(metric, f"{field}.target", {})
        values = at(current.get((name, field), {}), f"{field}.current", {})
        share = "averageUtilization" in target
        key = "averageUtilization" if share else "averageValue"
        percent = "%" if share else ""
        value = f"{values[key]}{percent}" if key in values else "<unknown>"
        shown.append(f"{name}: {value}/{target.get(key, '')}{percent}")
    return ", ".join(shown) or NONE


def _metric_key(metric: Document) -> tuple[str, str]:
    kind = str(metric.get("type", ""))
    field = kind[:1].lower() + kind[1:]
    return str(at(metric, f"{field}.name", "") or at(metric, f"{field}.metric.name", "")), field


def _used(quota: Document, *, limits: bool) -> str:
    """``pods: 2/10, requests.cpu: 1/4``: limits, or everything else."""
    hard, used = at(quota, "status.hard", {}), at(quota, "status.used", {})
    names = sorted(name for name in hard if name.startswith("limits.") == limits)
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)


COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "Pod": (
        NAME,
        Column("READY", _of(pod_ready)),
        Column("STATUS", _of(pod_status)),
        Column("RESTARTS", pod_restarts),
        AGE,
        Column("IP", _path("status.podIP"), wide=True),
        Column("NODE", _path("spec.nodeName"), wide=True),
        Column("NOMINATED NODE", _path("status.nominatedNodeName"), wide=True),
        Column("READINESS GATES", lambda *_: NONE, wide=True),
    ),
    "Deployment": (
        NAME,
        Column("READY", _of(lambda d: f"{at(d, 'status.readyReplicas', 0)}/{at(d, 'spec.replicas', 1)}")),
        Column("UP-TO-DATE", _path("status.updatedReplicas", "0")),
        Column("AVAILABLE", _path("status.availableReplicas", "0")),
        AGE,
        Column("CONTAINERS", _of(_names), wide=True),
        Column("IMAGES", _of(_images), wide=True),
        Column("SELECTOR", _of(selector), wide=True),
    ),
    "ReplicaSet": (
        NAME,
        Column("DESIRED", _path("spec.replicas", "0")),
        Column("CURRENT", _path("status.replicas", "0")),
        Column("READY", _path("status.readyReplicas", "0")),
        AGE,
        Column("CONTAINERS", _of(_names), wide=True),
        Column("IMAGES", _of(_images), wide=True),
        Column("SELECTOR", _of(selector), wide=True),
    ),
    "ReplicationController": (
        NAME,
        Column("DESIRED", _path("spec.replicas", "0")),
        Column("CURRENT", _path("status.replicas", "0")),
        Column("READY", _path("status.readyReplicas", "0")),
        AGE,
        Column("CONTAINERS", _of(_names), wide=True),
        Column("IMAGES", _of(_images), wide=True),
        Column("SELECTOR", _of(selector), wide=True),
    ),
    "ControllerRevision": (
        NAME,
        Column("CONTROLLER", _of(_controller)),
        Column("REVISION", _path("revision", "0")),
        AGE,
    ),
    "Node": (
        NAME,
        Column("STATUS", _of(node_status)),
        Column("ROLES", _of(_roles)),
        AGE,
        Column("VERSION", _path("status.nodeInfo.kubeletVersion")),
        Column("INTERNAL-IP", _of(lambda d: _address(d, "InternalIP")), wide=True),
        Column("EXTERNAL-IP", _of(lambda d: _address(d, "ExternalIP")), wide=True),
        Column("OS-IMAGE", _path("status.nodeInfo.osImage"), wide=True),
        Column("KERNEL-VERSION", _path("status.nodeInfo.kernelVersion"), wide=True),
        Column("CONTAINER-RUNTIME", _path("status.nodeInfo.containerRuntimeVersion"), wide=True),
    ),
    "Namespace": (NAME, Column("STATUS", _path("status.phase", "Active")), AGE),
    "ConfigMap": (
        NAME,
        Column("DATA", _of(lambda d: str(len(d.get("data") or {}) + len(d.get("binaryData") or {})))),
        AGE,
    ),
    "Secret": (
        NAME,
        Column("TYPE", _path("type", "Opaque")),
        Column("DATA", _of(lambda d: str(len(d.get("data") or {})))),
        AGE,
    ),
    "Lease": (NAME, Column("HOLDER", _path("spec.holderIdentity", "")), AGE),
    "Service": (
        NAME,
        Column("TYPE", _path("spec.type", "ClusterIP")),
        Column("CLUSTER-IP", _path("spec.clusterIP")),
        Column("EXTERNAL-IP", lambda *_: NONE),
        Column("PORT(S)", _of(lambda d: _ports(d))),
        AGE,
    ),
    "StatefulSet": (
        NAME,
        Column("READY", _of(lambda d: f"{at(d, 'status.readyReplicas', 0)}/{at(d, 'spec.replicas', 1)}")),
        AGE,
        Column("CONTAINERS", _of(_names), wide=True),
        Column("IMAGES", _of(_images), wide=True),
    ),
    "DaemonSet": (
        NAME,
        Column("DESIRED", _path("status.desiredNumberScheduled", "0")),
        Column("CURRENT", _path("status.currentNumberScheduled", "0")),
        Column("READY", _path("status.numberReady", "0")),
        Column("UP-TO-DATE", _path("status.updatedNumberScheduled", "0")),
        Column("AVAILABLE", _path("status.numberAvailable", "0")),
        AGE,
        Column("CONTAINERS", _of(_names), wide=True),
        Column("IMAGES", _of(_images), wide=True),
        Column("SELECTOR", _of(selector), wide=True),
    ),
    "Job": (
        NAME,
        Column("STATUS", _of(_job_status)),
        Column("COMPLETIONS", _of(_completions)),
        Column("DURATION", duration_of),
        AGE,
        Column("CONTAINERS", _of(_names), wide=True),
        Column("IMAGES", _of(_images), wide=True),
        Column("SELECTOR", _of(selector), wide=True),
    ),
    "HorizontalPodAutoscaler": (
        NAME,
        Column("REFERENCE", _of(lambda d: f"{at(d, 'spec.scaleTargetRef.kind')}/{at(d, 'spec.scaleTargetRef.name')}")),
        Column("TARGETS", _of(_targets)),
        Column("MINPODS", _path("spec.minReplicas", "1")),
        Column("MAXPODS", _path("spec.maxReplicas", "")),
        Column("REPLICAS", _path("status.currentReplicas", "0")),
        AGE,
    ),
    "ResourceQuota": (
        NAME,
        Column("REQUEST", _of(lambda d: _used(d, limits=False))),
        Column("LIMIT", _of(lambda d: _used(d, limits=True))),
        AGE,
    ),
    "LimitRange": (NAME, Column("CREATED AT", _path("metadata.creationTimestamp"))),
    "CronJob": (
        NAME,
        Column("SCHEDULE", _path("spec.schedule", "")),
        Column("TIMEZONE", _path("spec.timeZone")),
        Column("SUSPEND", _of(lambda d: str(bool(at(d, "spec.suspend", False))))),
        Column("ACTIVE", _of(lambda d: str(len(at(d, "status.active", []))))),
        Column("LAST SCHEDULE", lambda d, now: age(s, now) if (s := at(d, "status.lastScheduleTime")) else NONE),
        AGE,
    ),
    "ServiceAccount": (NAME, AGE),
    "Ingress": (
        NAME,
        Column("CLASS", _path("spec.ingressClassName")),
        Column("HOSTS", _of(_hosts)),
        AGE,
    ),
    "PersistentVolumeClaim": (
        NAME,
        Column("STATUS", _path("status.phase", "Pending")),
        Column("VOLUME", _path("spec.volumeName", "")),
        Column("CAPACITY", _path("status.capacity.storage", "")),
        Column("ACCESS MODES", _of(_access_modes)),
        Column("STORAGECLASS", _path("spec.storageClassName", "")),
        AGE,
        Column("VOLUMEMODE", _path("spec.volumeMode", "Filesystem"), wide=True),
    ),
    "PersistentVolume": (
        NAME,
        Column("CAPACITY", _path("spec.capacity.storage", "")),
        Column("ACCESS MODES", _of(_access_modes)),
        Column("RECLAIM POLICY", _path("spec.persistentVolumeReclaimPolicy", "Retain")),
        Column("STATUS", _path("status.phase", "Available")),
        Column("STORAGECLASS", _path("spec.storageClassName", "")),
        AGE,
    ),
    "StorageClass": (
        NAME,
        Column("PROVISIONER", _path("provisioner", "")),
        Column("RECLAIMPOLICY", _path("reclaimPolicy", "Delete")),
        Column("VOLUMEBINDINGMODE", _path("volumeBindingMode", "Immediate")),
        AGE,
    ),
    "PodDisruptionBudget": (
        NAME,
        Column("MIN AVAILABLE", _path("spec.minAvailable", "N/A")),
        Column("MAX UNAVAILABLE", _path("spec.maxUnavailable", "N/A")),
        Column("ALLOWED DISRUPTIONS", _path("status.disruptionsAllowed", "0")),
        AGE,
    ),
    "PriorityClass": (
        NAME,
        Column("VALUE", _path("value", "0")),
        Column("GLOBAL-DEFAULT", _of(lambda d: str(bool(d.get("globalDefault"))).lower())),
        AGE,
    ),
    "ClusterRole": (NAME, Column("CREATED AT", _path("metadata.creationTimestamp"))),
    "ClusterRoleBinding": (
        NAME,
        Column("ROLE", _of(lambda d: f"{at(d, 'roleRef.kind')}/{at(d, 'roleRef.name')}")),
        AGE,
    ),
    "RoleBinding": (NAME, Column("ROLE", _of(lambda d: f"{at(d, 'roleRef.kind')}/{at(d, 'roleRef.name')}")), AGE),
    "Role": (NAME, Column("CREATED AT", _path("metadata.creationTimestamp"))),
    "Event": (
        Column("LAST SEEN", _event_age),
        Column("TYPE", _path("type", "")),
        Column("REASON", _path("reason", "")),
        Column("OBJECT", _of(_about)),
        Column("SOURCE", _path("source.component", ""), wide=True),
        Column("MESSAGE", _of(lambda d: str(d.get("message") or d.get("note") or "").strip().replace("\n", " "))),
    ),
}


def _ports(service: Document) -> str:
    listed = [f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in at(service, "spec.ports", [])]
    return ",".join(listed) or NONE


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

"""``knarr describe``: an object as text for people, with its events. Pure; secrets' values are never shown."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from knarr_api.kinds import Kind
from knarr_cli import cells, describing_policies, tables
from knarr_cli.cells import NONE, age, at, event_order

Document = Mapping[str, Any]
WIDTH = 18


def describe(
    kind: Kind, item: Document, events: list[dict[str, Any]], now: datetime.datetime, *, more: list[dict[str, Any]]
) -> str:
    """The whole text. more: pods of a node; quotas and limits of a namespace, ReplicaSets of a Deployment."""
    lines = [*_head(kind, item)]
    match kind.kind:
        case "Pod":
            lines += _pod(item, now)
        case "Node":
            lines += _node(item, more, now)
        case "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet":
            lines += _replicated(item)
            lines += _replica_sets(item, more)
        case "DaemonSet":
            lines += _daemon_set(item)
        case "Job":
            lines += _job(item, now)
        case "CronJob":
            lines += _cron_job(item)
        case "ConfigMap":
            lines += ["", "Data", "===="]
            for key, value in (item.get("data") or {}).items():
                lines += [f"{key}:", "----", *str(value).splitlines(), ""]
        case "Secret":
            lines.append(_row("Type", item.get("type", "Opaque")))
            lines += ["", "Data", "===="]
            lines += [f"{key}:  {_decoded_size(value)} bytes" for key, value in (item.get("data") or {}).items()]
        case "Namespace":
            lines.append(_row("Status", at(item, "status.phase")))
            for each in more:
                lines += ["", f"{each['kind']}: {at(each, 'metadata.name')}", *describing_policies.policy(each)]
        case "HorizontalPodAutoscaler" | "PodDisruptionBudget" | "ResourceQuota" | "LimitRange":
            lines += describing_policies.policy({**item, "kind": kind.kind})
        case _:
            for part in ("spec", "status", "data", "rules", "subjects", "roleRef"):
                if item.get(part):
                    lines += [f"{part.capitalize()}:", *_tree(item[part], "  ")]
    lines += _events(events, now)
    return "\n".join(lines) + "\n"


def _head(kind: Kind, item: Document) -> Iterable[str]:
    metadata = item.get("metadata") or {}
    yield _row("Name", metadata.get("name"))
    if kind.namespaced:
        yield _row("Namespace", metadata.get("namespace"))
    yield from _pairs("Labels", metadata.get("labels"))
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if "last-applied" not in k}
    yield from _pairs("Annotations", annotations)
    yield _row("Created", metadata.get("creationTimestamp"))
    if metadata.get("deletionTimestamp"):
        yield _row("Deletion", f"asked for; due {metadata['deletionTimestamp']}")
    owner = next((o for o in metadata.get("ownerReferences") or [] if o.get("controller")), None)
    if owner is not None:
        yield _row("Controlled By", f"{owner['kind']}/{owner['name']}")


def _pod(item: Document, now: datetime.datetime) -> Iterable[str]:
    yield _row("Node", at(item, "spec.nodeName", NONE))
    yield _row("Status", cells.pod_status(item))
    yield _row("IP", at(item, "status.podIP", NONE))
    yield _row("QoS Class", at(item, "status.qosClass", NONE))
    statuses = {
        s["name"]: s for s in (*at(item, "status.initContainerStatuses", []), *at(item, "status.containerStatuses", []))
    }
    for title, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        containers = at(item, f"spec.{field}", [])
        if containers:
            yield f"{title}:"
        for container in containers:
            yield from _container(container, statuses.get(container["name"], {}))
    yield "Conditions:"
    yield from _table(
        ["Type", "Status", "Reason"],
        [[c["type"], c["status"], c.get("reason", "")] for c in at(item, "status.conditions", [])],
    )
    yield "Volumes:"
    for volume in at(item, "spec.volumes", []):
        source = next((key for key in volume if key != "name"), "")
        yield f"  {volume['name']}: {source} {_short(volume.get(source))}"
    yield from _pairs("Node-Selectors", at(item, "spec.nodeSelector", {}))
    tolerations = [_toleration(t) for t in at(item, "spec.tolerations", [])]
    yield _row("Tolerations", f"\n{' ' * WIDTH}".join(tolerations) or NONE)


def _container(container: Document, status: Document) -> Iterable[str]:
    yield f"  {container['name']}:"
    yield f"    Container ID:  {status.get('containerID', '')}"
    yield f"    Image:         {container.get('image')}"
    if container.get("command"):
        yield f"    Command:       {' '.join(container['command'])}"
    if container.get("args"):
        yield f"    Args:          {' '.join(container['args'])}"
    for title, field in (("State", "state"), ("Last State", "lastState")):
        for name, details in (status.get(field) or {}).items():
            yield f"    {(title + ':').ljust(15)}{name.capitalize()}"
            for key, value in details.items():
                if key != "containerID":
                    yield f"      {(key + ':').ljust(13)}{value}"
    yield f"    Ready:         {status.get('ready', False)}"
    yield f"    Restart Count: {status.get('restartCount', 0)}"
    for title in ("limits", "requests"):
        amounts = at(container, f"resources.{title}", {})
        if amounts:
            yield f"    {(title.capitalize() + ':').ljust(15)}{', '.join(f'{k}={v}' for k, v in amounts.items())}"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            yield f"    {(probe.removesuffix('Probe').capitalize() + ':').ljust(15)}{_short(container[probe])}"
    if container.get("env"):
        yield "    Environment:"
        for variable in container["env"]:
            value = variable.get("value") if "value" in variable else f"<{_short(variable.get('valueFrom'))}>"
            yield f"      {variable['name']}: {value}"
    if container.get("volumeMounts"):
        yield "    Mounts:"
        for mount in container["volumeMounts"]:
            mode = "ro" if mount.get("readOnly") else "rw"
            yield f"      {mount['mountPath']} from {mount['name']} ({mode})"


def _node(item: Document, pods: list[dict[str, Any]], now: datetime.datetime) -> Iterable[str]:
    taints = [
        f"{t['key']}{'=' + t['value'] if t.get('value') else ''}:{t['effect']}" for t in at(item, "spec.taints", [])
    ]
    yield _row("Taints", f"\n{' ' * WIDTH}".join(taints) or NONE)
    yield _row("Unschedulable", str(bool(at(item, "spec.unschedulable", False))).lower())
    yield _row("PodCIDR", at(item, "spec.podCIDR", NONE))
    yield "Conditions:"
    rows = [
        [c["type"], c["status"], age(c.get("lastTransitionTime", ""), now), c.get("reason", ""), c.get("message", "")]
        for c in at(item, "status.conditions", [])
    ]
    yield from _table(["Type", "Status", "Since", "Reason", "Message"], rows)
    yield "Addresses:"
    for address in at(item, "status.addresses", []):
        yield f"  {address['type']}: {address['address']}"
    yield from _pairs("Capacity", at(item, "status.capacity", {}), separator=": ")
    yield from _pairs("System Info", at(item, "status.nodeInfo", {}), separator=": ")
    yield from _pairs("Allocatable", at(item, "status.allocatable", {}), separator=": ")
    yield from describing_policies.given_away(item, pods, now)


def _replicated(item: Document) -> Iterable[str]:
    yield _row("Selector", cells.selector(item))
    status = item.get("status") or {}
    yield _row(
        "Replicas",
        f"{at(item, 'spec.replicas', 1)} desired | "
        f"{status.get('updatedReplicas', status.get('replicas', 0))} updated | "
        f"{status.get('replicas', 0)} total | {status.get('availableReplicas', 0)} available | "
        f"{status.get('unavailableReplicas', 0)} unavailable",
    )
    if at(item, "spec.strategy.type"):
        yield _row("StrategyType", at(item, "spec.strategy.type"))
        rolling = at(item, "spec.strategy.rollingUpdate", {})
        if rolling:
            yield _row(
                "RollingUpdate", f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
            )
    yield from _update_strategy(item)
    yield from _template(at(item, "spec.template", {}))
    claims = [
        [at(claim, "metadata.name"), ",".join(at(claim, "spec.accessModes", []))]
        for claim in at(item, "spec.volumeClaimTemplates", [])
    ]
    if claims:
        yield "Volume Claims:"
        yield from _table(["Name", "Access Modes"], claims)
    yield from _conditions(item)


def _replica_sets(item: Document, sets: list[dict[str, Any]]) -> Iterable[str]:
    """Those of a Deployment: the one of its newest revision, and older ones that have pods yet."""
    own = [each for each in sets if cells.owned_by(each, item)]
    if not own:
        return
    newest = max(own, key=_revision)

    def said(sets: list[dict[str, Any]]) -> str:
        there = [
            f"{at(each, 'metadata.name')} ({at(each, 'status.replicas', 0)}/{at(each, 'spec.replicas', 0)}"
            for each in sets
        ]
        return ", ".join(f"{each} replicas created)" for each in there)

    old = [each for each in own if each is not newest and at(each, "spec.replicas", 0)]
    yield _row("OldReplicaSets", said(old) or NONE)
    yield _row("NewReplicaSet", said([newest]))


def _revision(item: Document) -> int:
    text = (at(item, "metadata.annotations", {}) or {}).get("deployment.kubernetes.io/revision", "0")
    return int(text) if text.isdecimal() else 0


def _daemon_set(item: Document) -> Iterable[str]:
    yield _row("Selector", cells.selector(item))
    yield from _pairs("Node-Selector", at(item, "spec.template.spec.nodeSelector", {}))
    for title, field in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        yield f"{title}: {at(item, f'status.{field}', 0)}"
    yield from _update_strategy(item)
    yield from _template(at(item, "spec.template", {}))
    yield from _conditions(item)


def _update_strategy(item: Document) -> Iterable[str]:
    strategy = at(item, "spec.updateStrategy", {})
    if strategy.get("type"):
        yield _row("Update Strategy", strategy["type"])
    for field, value in (strategy.get("rollingUpdate") or {}).items():
        yield _row(f"  {field[0].upper()}{field[1:]}", value)


def _job(item: Document, now: datetime.datetime) -> Iterable[str]:
    yield _row("Selector", cells.selector(item))
    yield from _job_spec(at(item, "spec", {}))
    start, end = at(item, "status.startTime"), at(item, "status.completionTime")
    if start:
        yield _row("Start Time", start)
    if end:
        yield _row("Completed At", end)
        yield _row("Duration", cells.duration_of(item, now))
    status = item.get("status") or {}
    yield _row(
        "Pods Statuses",
        f"{status.get('active', 0)} Active ({status.get('ready', 0)} Ready) / {status.get('succeeded', 0)} Succeeded / "
        f"{status.get('failed', 0)} Failed",
    )
    if at(item, "spec.completionMode") == "Indexed":
        yield _row("Completed Indexes", status.get("completedIndexes") or NONE)
    if status.get("failedIndexes"):
        yield _row("Failed Indexes", status["failedIndexes"])
    yield from _template(at(item, "spec.template", {}))
    yield from _conditions(item)


def _job_spec(spec: Document) -> Iterable[str]:
    for title, field in (
        ("Parallelism", "parallelism"),
        ("Completions", "completions"),
        ("Completion Mode", "completionMode"),
        ("Suspend", "suspend"),
        ("Backoff Limit", "backoffLimit"),
        ("Backoff/Index", "backoffLimitPerIndex"),
        ("Max Failed Index", "maxFailedIndexes"),
        ("Deadline", "activeDeadlineSeconds"),
        ("TTL Finished", "ttlSecondsAfterFinished"),
    ):
        value = spec.get(field)
        if value is not None or field == "completions":
            text = f"{value}s" if title in ("Deadline", "TTL Finished") else value
            yield _row(title, "<unset>" if value is None else str(text).lower() if value in (True, False) else text)


def _cron_job(item: Document) -> Iterable[str]:
    spec = at(item, "spec", {})
    yield _row("Schedule", spec.get("schedule", ""))
    yield _row("Time Zone", spec.get("timeZone") or "<unset>")
    yield _row("Concurrency", spec.get("concurrencyPolicy", ""))
    yield _row("Suspend", str(bool(spec.get("suspend"))))
    yield _row(
        "History", f"{spec.get('successfulJobsHistoryLimit')} successful, {spec.get('failedJobsHistoryLimit')} failed"
    )
    deadline_s = spec.get("startingDeadlineSeconds")
    yield _row("Start Deadline", "<unset>" if deadline_s is None else f"{deadline_s}s")
    yield from _job_spec(at(item, "spec.jobTemplate.spec", {}))
    yield from _template(at(item, "spec.jobTemplate.spec.template", {}))
    yield _row("Last Schedule", at(item, "status.lastScheduleTime") or "<unset>")
    yield _row("Last Success", at(item, "status.lastSuccessfulTime") or "<unset>")
    yield _row("Active Jobs", ", ".join(job["name"] for job in at(item, "status.active", [])) or NONE)


def _template(template: Document) -> Iterable[str]:
    yield "Pod Template:"
    yield from _pairs("  Labels", at(template, "metadata.labels", {}))
    yield "  Containers:"
    for container in at(template, "spec.containers", []):
        for line in _container(container, {}):
            if not any(word in line for word in ("Container ID", "Ready:", "Restart Count")):
                yield f"  {line}"


def _conditions(item: Document) -> Iterable[str]:
    if at(item, "status.conditions", []):
        yield from describing_policies.conditions(item)


def _events(events: list[dict[str, Any]], now: datetime.datetime) -> Iterable[str]:
    if not events:
        return [_row("Events", NONE)]
    ordered = sorted(events, key=event_order)
    rows = []
    for event in ordered:
        stamp = event.get("lastTimestamp") or at(event, "metadata.creationTimestamp")
        count = event.get("count") or 1
        since = f"{age(stamp, now)} (x{count})" if count > 1 else age(stamp, now)
        source = at(event, "source.component") or event.get("reportingComponent", "")
        rows.append([event.get("type", ""), event.get("reason", ""), since, source, str(event.get("message", ""))])
    return ["Events:", *_table(["Type", "Reason", "Age", "From", "Message"], rows)]


def _table(titles: list[str], rows: list[list[str]]) -> list[str]:
    return [f"  {line}" for line in tables.layout(titles, rows)] if rows else [f"  {NONE}"]


def _row(title: str, value: Any) -> str:
    return f"{(title + ':').ljust(WIDTH)}{value}"


def _pairs(title: str, values: Mapping[str, Any] | None, *, separator: str = "=") -> Iterable[str]:
    shown = [f"{key}{separator}{value}" for key, value in (values or {}).items()]
    yield _row(title, shown[0] if shown else NONE)
    for text in shown[1:]:
        yield f"{' ' * WIDTH}{text}"


def _tree(value: Any, indent: str) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping | list):
                yield f"{indent}{key}:"
                yield from _tree(inner, indent + "  ")
            else:
                yield f"{indent}{key}: {_short(inner)}"
    elif isinstance(value, list):
        for inner in value:
            lines = (
                list(_tree(inner, indent + "  "))
                if isinstance(inner, Mapping | list)
                else [f"{indent}  {_short(inner)}"]
            )
            for number, line in enumerate(lines):
                yield line if number else f"{indent}- {line[len(indent) + 2 :]}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_short(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "[" + " ".join(_short(inner) for inner in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _toleration(given: Document) -> str:
    text = given.get("key", "")
    if given.get("value"):
        text += f"={given['value']}"
    if given.get("effect"):
        text += f":{given['effect']}"
    if given.get("operator") in ("Exists", "Lt", "Gt"):
        text += f" op={given['operator']}"
    if given.get("tolerationSeconds") is not None:
        text += f" for {given['tolerationSeconds']}s"
    return text or "op=Exists"


def _decoded_size(value: str) -> int:
    return len(value) * 3 // 4 - value[-2:].count("=")

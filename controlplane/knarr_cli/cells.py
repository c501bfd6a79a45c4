"""What a cell of a table says, from an object as a JSON document: ages, states, counts."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

Document = Mapping[str, Any]
NONE = "<none>"


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


def roles(node: Document) -> str:
    prefix = "node-role.kubernetes.io/"
    return (
        ",".join(sorted(k.removeprefix(prefix) for k in at(node, "metadata.labels", {}) if k.startswith(prefix)))
        or NONE
    )


def address(node: Document, kind: str) -> str:
    return next((a["address"] for a in at(node, "status.addresses", []) if a["type"] == kind), NONE)


def selector(document: Document) -> str:
    given = at(document, "spec.selector", {})
    labels = given.get("matchLabels") or {key: value for key, value in given.items() if isinstance(value, str)}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def images(document: Document) -> str:
    containers = at(document, "spec.template.spec.containers", [])
    return ",".join(container.get("image", "") for container in containers) or NONE


def names(document: Document) -> str:
    return ",".join(container["name"] for container in at(document, "spec.template.spec.containers", [])) or NONE


def path(path: str, default: str = NONE) -> Callable[[Document, datetime.datetime], str]:
    def cell(document: Document, _: datetime.datetime) -> str:
        value = at(document, path, "")
        return default if value in ("", None) else str(value)

    return cell


def of(function: Callable[[Document], str]) -> Callable[[Document, datetime.datetime], str]:
    return lambda document, _: function(document)


def event_age(document: Document, now: datetime.datetime) -> str:
    stamp = document.get("lastTimestamp") or document.get("eventTime") or at(document, "metadata.creationTimestamp")
    count = document.get("count") or 1
    if count > 1 and document.get("firstTimestamp"):
        return f"{age(stamp, now)} (x{count} over {age(document['firstTimestamp'], now)})"
    return age(stamp, now)


def about(event: Document) -> str:
    """The object of an event of either group."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def job_status(job: Document) -> str:
    true = {c["type"] for c in at(job, "status.conditions", []) if c.get("status") == "True"}
    found = next((name for name in ("Complete", "Failed", "Suspended") if name in true), "")
    return found or ("Suspended" if at(job, "spec.suspend", False) else "Running")


def completions(job: Document) -> str:
    done, wanted = at(job, "status.succeeded", 0), at(job, "spec", {}).get("completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = at(job, "spec.parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def controller(document: Document) -> str:
    """As ``daemonset.apps/agent``."""
    owner = next((o for o in at(document, "metadata.ownerReferences", []) if o.get("controller")), None)
    if owner is None:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind'].lower()}{'.' if group else ''}{group}/{owner['name']}"


def owned_by(document: Document, owner: Document) -> bool:
    """Whether that is its controller."""
    references = at(document, "metadata.ownerReferences", [])
    return any(each.get("controller") and each.get("uid") == at(owner, "metadata.uid") for each in references)


def duration_of(job: Document, now: datetime.datetime) -> str:
    start, end = at(job, "status.startTime"), at(job, "status.completionTime")
    if not start:
        return ""
    return age(start, datetime.datetime.fromisoformat(end.replace("Z", "+00:00")) if end else now)


def hosts(ingress: Document) -> str:
    return ",".join(rule.get("host") or "*" for rule in at(ingress, "spec.rules", [])) or "*"


ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def access_modes(document: Document) -> str:
    return ",".join(ACCESS_MODES.get(mode, mode) for mode in at(document, "spec.accessModes", []))


def targets(autoscaler: Document) -> str:
    """``cpu: 20%/50%``, as the status has it; ``<unknown>`` where it has nothing."""
    current = {metric_key(metric): metric for metric in at(autoscaler, "status.currentMetrics", [])}
    shown = []
    for metric in at(autoscaler, "spec.metrics", []):
        name, field = metric_key(metric)
        target = at(metric, f"{field}.target", {})
        values = at(current.get((name, field), {}), f"{field}.current", {})
        share = "averageUtilization" in target
        key = "averageUtilization" if share else "averageValue" if "averageValue" in target else "value"
        percent = "%" if share else ""
        value = f"{values[key]}{percent}" if key in values else "<unknown>"
        shown.append(f"{name}: {value}/{target.get(key, '')}{percent}")
    return ", ".join(shown) or NONE


def metric_key(metric: Document) -> tuple[str, str]:
    """Its name, and the field that has it."""
    kind = str(metric.get("type", ""))
    field = kind[:1].lower() + kind[1:]
    return str(at(metric, f"{field}.name", "") or at(metric, f"{field}.metric.name", "")), field


def used(quota: Document, *, limits: bool) -> str:
    """``pods: 2/10, requests.cpu: 1/4``: limits, or everything else."""
    hard, used = at(quota, "status.hard", {}), at(quota, "status.used", {})
    names = sorted(name for name in hard if name.startswith("limits.") == limits)
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)


def ports(service: Document) -> str:
    listed = [f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in at(service, "spec.ports", [])]
    return ",".join(listed) or NONE


def event_order(event: Document) -> tuple[str, int]:
    """The newest last; those of one second as they were written."""
    stamp = event.get("lastTimestamp") or at(event, "metadata.creationTimestamp")
    revision = str(at(event, "metadata.resourceVersion", "0"))
    return str(stamp), int(revision) if revision.isdecimal() else 0


def bound_claim(volume: Document) -> str:
    claim = at(volume, "spec.claimRef", {})
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


SHOWN_ENDPOINTS = 3


def pod_selector(policy: Document) -> str:
    labels = at(policy, "spec.podSelector.matchLabels", {})
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def parameters(given: Document) -> str:
    found = at(given, "spec.parameters", {})
    kind = ".".join(filter(None, (found.get("kind"), found.get("apiGroup"))))
    return f"{kind}/{found.get('name')}" if found else NONE


def _few(found: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(found) - SHOWN_ENDPOINTS
    return ",".join(found[:SHOWN_ENDPOINTS]) + (f" + {more} more..." if more > 0 else "") or NONE


def endpoints(given: Document) -> str:
    found = [
        f"{address.get('ip')}:{port.get('port')}"
        for subset in at(given, "subsets", [])
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return _few(found)


def slice_ports(given: Document) -> str:
    return _few([str(port.get("port", "*")) for port in at(given, "ports", [])]) if given.get("ports") else "<unset>"


def slice_addresses(given: Document) -> str:
    return _few([address for endpoint in at(given, "endpoints", []) for address in endpoint.get("addresses") or ()])


def ingress_address(ingress: Document) -> str:
    found = [each.get("ip") or each.get("hostname") or "" for each in at(ingress, "status.loadBalancer.ingress", [])]
    return ",".join(filter(None, found))

"""What ``knarr describe`` says of autoscalers, budgets, quotas and limits, and of what a node has given away. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from knarr_api.quantity import Quantity
from knarr_cli import cells, tables
from knarr_cli.cells import NONE, age, at

Document = Mapping[str, Any]
WIDTH = 18
ENDED = ("Succeeded", "Failed")
ALWAYS = ("cpu", "memory", "ephemeral-storage")
"""Resources of a node that are shown also where nothing of them is given away."""


def policy(item: Document) -> Iterable[str]:
    """Of an autoscaler, budget, quota or range of limits, by its kind."""
    match item.get("kind"):
        case "HorizontalPodAutoscaler":
            yield from _autoscaler(item)
        case "PodDisruptionBudget":
            yield from _budget(item)
        case "ResourceQuota":
            yield from _quota(item)
        case "LimitRange":
            yield from _limit_range(item)


def _autoscaler(item: Document) -> Iterable[str]:
    """kubectl's lines, conditions with their messages."""
    target = at(item, "spec.scaleTargetRef", {})
    yield _row("Reference", f"{target.get('kind')}/{target.get('name')}")
    yield _row("Metrics", "( current / target )")
    known = {cells.metric_key(metric): metric for metric in at(item, "status.currentMetrics", [])}
    for metric in at(item, "spec.metrics", []):
        name, field = cells.metric_key(metric)
        yield f"  {_metric(name, field, metric, known.get((name, field), {}))}"
    yield _row("Min replicas", at(item, "spec.minReplicas", 1))
    yield _row("Max replicas", at(item, "spec.maxReplicas"))
    for title, field in (("Scale Up", "scaleUp"), ("Scale Down", "scaleDown")):
        rules = at(item, f"spec.behavior.{field}", {})
        if rules:
            yield f"  {title}:"
            window = rules.get("stabilizationWindowSeconds")
            yield f"    Stabilization Window: {f'{window} seconds' if window is not None else '<not set>'}"
            yield f"    Select Policy: {rules.get('selectPolicy', 'Max')}"
            for policy in rules.get("policies", ()):
                period = f"Period: {policy['periodSeconds']} seconds"
                yield f"      - Type: {policy['type']}  Value: {policy['value']}  {period}"
    yield _row(
        f"{target.get('kind')} pods",
        f"{at(item, 'status.currentReplicas', 0)} current / {at(item, 'status.desiredReplicas', 0)} desired",
    )
    yield from conditions(item)


def _metric(name: str, field: str, metric: Document, known: Document) -> str:
    wanted, now = at(metric, f"{field}.target", {}), at(known, f"{field}.current", {})
    where = f"of container {at(metric, f'{field}.container')!r} " if field == "containerResource" else ""
    kind = "resource" if field in ("resource", "containerResource") else "metric"
    if "averageUtilization" in wanted:
        share = f"{now['averageUtilization']}% ({now.get('averageValue', 0)})" if "averageUtilization" in now else ""
        has = share or "<unknown>"
        return f"{kind} {name} {where}on pods (as a percentage of request): {has} / {wanted['averageUtilization']}%"
    key = "averageValue" if "averageValue" in wanted else "value"
    return f"{kind} {name} {where}on pods: {now.get(key, '<unknown>')} / {wanted.get(key)}"


def _budget(item: Document) -> Iterable[str]:
    for title, field in (("Min available", "minAvailable"), ("Max unavailable", "maxUnavailable")):
        if at(item, f"spec.{field}", None) is not None:
            yield _row(title, at(item, f"spec.{field}"))
    yield _row("Selector", cells.selector(item))
    yield "Status:"
    for title, field in (
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ):
        yield f"    {(title + ':').ljust(22)}{at(item, f'status.{field}', 0)}"
    yield from conditions(item)


def _quota(item: Document) -> Iterable[str]:
    scopes = at(item, "spec.scopes", [])
    if scopes:
        yield _row("Scopes", ", ".join(scopes))
    for match in at(item, "spec.scopeSelector.matchExpressions", []):
        yield _row("Scope", f"{match['scopeName']} {match['operator']} {','.join(match.get('values', ()))}".rstrip())
    hard = at(item, "status.hard", {}) or at(item, "spec.hard", {})
    used = at(item, "status.used", {})
    rows = [[name, str(used.get(name, "0")), str(hard[name])] for name in sorted(hard)]
    yield from tables.layout(["Resource", "Used", "Hard"], rows)


def _limit_range(item: Document) -> Iterable[str]:
    rows = []
    for limit in at(item, "spec.limits", []):
        columns = [
            limit.get(name) or {} for name in ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")
        ]
        for resource in sorted({name for column in columns for name in column}):
            rows.append([limit.get("type", ""), resource, *(str(column.get(resource, "-")) for column in columns)])
    titles = ["Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio"]
    yield from tables.layout(titles, rows)


def given_away(node: Document, pods: list[dict[str, Any]], now: datetime.datetime) -> Iterable[str]:
    """A node's pods with what they ask for, and the sums of it."""
    pods = [pod for pod in pods if at(pod, "status.phase") not in ENDED]
    whole = {name: Quantity(str(amount)) for name, amount in at(node, "status.allocatable", {}).items()}
    asked = [(pod, _of_pod(pod, "requests"), _of_pod(pod, "limits")) for pod in pods]
    rows = []
    for pod, requests, limits in asked:
        shares = [_share(part.get(name), whole.get(name)) for name in ("cpu", "memory") for part in (requests, limits)]
        since = age(at(pod, "metadata.creationTimestamp"), now)
        rows.append([at(pod, "metadata.namespace"), at(pod, "metadata.name"), *shares, since])
    yield f"Non-terminated Pods: ({len(pods)} in total)"
    titles = ["Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits", "Age"]
    yield from (f"  {line}" for line in tables.layout(titles, rows))
    yield "Allocated resources:"
    names = [name for name in whole if name in ALWAYS or any(name in part for _, *both in asked for part in both)]
    sums = []
    for name in (name for name in names if name != "pods"):
        total = [_sum([each[number].get(name) for each in asked]) for number in (1, 2)]
        sums.append([name, *(_share(amount, whole[name]) for amount in total)])
    yield from (f"  {line}" for line in tables.layout(["Resource", "Requests", "Limits"], sums))


def _of_pod(pod: Document, part: str) -> dict[str, Quantity]:
    """What its containers ask for together, or the first ones by themselves where that is more, and its overhead."""

    def asked(container: Document) -> dict[str, Quantity]:
        return {name: Quantity(str(amount)) for name, amount in at(container, f"resources.{part}", {}).items()}

    containers = [asked(container) for container in at(pod, "spec.containers", [])]
    first: list[dict[str, Quantity]] = []
    for container in at(pod, "spec.initContainers", []):
        (containers if container.get("restartPolicy") == "Always" else first).append(asked(container))
    found: dict[str, Quantity] = {}
    for name in dict.fromkeys(name for each in (*containers, *first) for name in each):
        together = _sum([each.get(name) for each in containers])
        found[name] = max([together, *(each[name] for each in first if name in each)])
    for name, amount in at(pod, "spec.overhead", {}).items():
        if part == "requests" or name in found:
            found[name] = _sum([found.get(name), Quantity(str(amount))])
    return found


def _sum(amounts: list[Quantity | None]) -> Quantity:
    total = Quantity("0")
    for amount in amounts:
        if amount is not None:
            total = total + amount
    return total


def _share(amount: Quantity | None, whole: Quantity | None) -> str:
    """``50m (2%)``."""
    amount = amount if amount is not None else Quantity("0")
    percent = amount.nanos() * 100 // whole.nanos() if whole else 0
    return f"{amount} ({percent}%)"


def conditions(item: Document) -> Iterable[str]:
    rows = [
        [c["type"], c["status"], c.get("reason", ""), c.get("message", "")] for c in at(item, "status.conditions", [])
    ]
    if rows:
        yield "Conditions:"
        yield from (f"  {line}" for line in tables.layout(["Type", "Status", "Reason", "Message"], rows))
    else:
        yield _row("Conditions", NONE)


def _row(title: str, value: Any) -> str:
    return f"{(title + ':').ljust(WIDTH)}{value}"

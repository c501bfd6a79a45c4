"""The scheduler once more, slow and plain: loops over nodes and pods as Kubernetes' documents describe each rule.

Shares no code with the scheduler; it knows the API's types only. Filters give a node's first reasons in the order in
which Kubernetes runs its plugins; scores are before weights, on Kubernetes' scale of 0 to 100.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knarr_api.types.core_v1 import Node, Pod, PodAffinityTerm, Taint, Toleration, TopologySpreadConstraint
from knarr_api.types.meta_v1 import LabelSelector

Labels = Mapping[str, str]


@dataclass
class Cluster:
    nodes: list[Node] = field(default_factory=list)
    pods: list[tuple[Pod, str]] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)

    def on(self, node: Node) -> list[Pod]:
        return [pod for pod, name in self.pods if name == node.metadata.name]

    def placed(self) -> list[tuple[Pod, Node]]:
        by_name = {node.metadata.name: node for node in self.nodes}
        return [(pod, by_name[name]) for pod, name in self.pods if name in by_name]


def selects(selector: LabelSelector | None, labels: Labels) -> bool:
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for expression in selector.match_expressions:
        value = labels.get(expression.key)
        holds = {
            "In": value is not None and value in expression.values,
            "NotIn": value is None or value not in expression.values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[expression.operator]
        if not holds:
            return False
    return True


# Taints


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect):
        return False
    if toleration.key == "" and toleration.operator == "Exists":
        return True
    if toleration.key != taint.key:
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value


def untolerated(pod: Pod, node: Node, effects: Sequence[str]) -> list[Taint]:
    return [
        taint
        for taint in node.spec.taints
        if taint.effect in effects and not any(tolerates(one, taint) for one in pod.spec.tolerations)
    ]


# Node affinity


def admitted(pod: Pod, node: Node) -> bool:
    if any(node.metadata.labels.get(key) != value for key, value in pod.spec.node_selector.items()):
        return False
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    if required is None:
        return True
    return any(node_term_holds(term, node) for term in required.node_selector_terms)


def node_term_holds(term, node: Node) -> bool:
    if not term.match_expressions and not term.match_fields:
        return False
    for requirements, have in ((term.match_expressions, node.metadata.labels), (term.match_fields, None)):
        for one in requirements:
            value = have.get(one.key) if have is not None else node.metadata.name
            if not node_requirement_holds(one.operator, one.values, value):
                return False
    return True


def node_requirement_holds(operator: str, values: Sequence[str], value: str | None) -> bool:
    if operator == "DoesNotExist":
        return value is None
    if operator == "NotIn":
        return value is None or value not in values
    if value is None:
        return False
    if operator in ("Gt", "Lt"):
        if not value.lstrip("+-").isdecimal():
            return False
        return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return operator == "Exists" or value in values


# What pods ask for


def asked(pod: Pod) -> dict[str, int]:
    def of(container) -> Counter[str]:
        return Counter({name: scaled(name, amount) for name, amount in container.resources.requests.items()})

    together: Counter[str] = Counter()
    for container in pod.spec.containers:
        together.update(of(container))
    beside: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for container in pod.spec.init_containers:
        now = of(container)
        now.update(beside)
        if container.restart_policy == "Always":
            beside = now
            together.update(of(container))
        most |= now
    total = most | together
    for name, amount in pod.spec.overhead.items():
        total[name] += scaled(name, amount)
    total["pods"] = 1
    return {name: amount for name, amount in total.items() if amount > 0}


def scaled(name: str, amount) -> int:
    return amount.milli() if name == "cpu" else amount.value()


def ports(pod: Pod) -> set[tuple[str, str, int]]:
    return {
        (port.protocol or "TCP", port.host_ip or "0.0.0.0", port.host_port)
        for container in pod.spec.containers
        for port in container.ports
        if port.host_port
    }


# Between pods


def terms(pod: Pod, *, near: bool) -> tuple[PodAffinityTerm, ...]:
    part = pod.spec.affinity and (pod.spec.affinity.pod_affinity if near else pod.spec.affinity.pod_anti_affinity)
    return part.required_during_scheduling_ignored_during_execution if part else ()


def preferred(pod: Pod, *, near: bool):
    part = pod.spec.affinity and (pod.spec.affinity.pod_affinity if near else pod.spec.affinity.pod_anti_affinity)
    return part.preferred_during_scheduling_ignored_during_execution if part else ()


def meant(owner: Pod, term: PodAffinityTerm, other: Pod, cluster: Cluster) -> bool:
    """Whether the owner's term is about the other pod."""
    space = other.metadata.namespace
    if not term.namespaces and term.namespace_selector is None:
        here = space == owner.metadata.namespace
    else:
        here = space in term.namespaces or selects(term.namespace_selector, cluster.namespaces.get(space, {}))
    if not here or not selects(term.label_selector, other.metadata.labels):
        return False
    own, others = owner.metadata.labels, other.metadata.labels
    return all(others.get(key) == own[key] for key in term.match_label_keys if key in own) and all(
        others.get(key) != own[key] for key in term.mismatch_label_keys if key in own
    )


def same_domain(key: str, one: Node, other: Node) -> bool:
    return key in one.metadata.labels and one.metadata.labels[key] == other.metadata.labels.get(key)


def affinity_reason(pod: Pod, node: Node, cluster: Cluster) -> str:
    near = terms(pod, near=True)
    placed = cluster.placed()
    if near:
        all_of_it = [(o, n) for o, n in placed if all(meant(pod, term, o, cluster) for term in near)]
        if any(term.topology_key not in node.metadata.labels for term in near):
            return "node(s) didn't match pod affinity rules"
        found = all(any(same_domain(term.topology_key, node, n) for _, n in all_of_it) for term in near)
        nobody = not any(term.topology_key in n.metadata.labels for _, n in all_of_it for term in near)
        first = nobody and all(meant(pod, term, pod, cluster) for term in near)
        if not found and not first:
            return "node(s) didn't match pod affinity rules"
    for term in terms(pod, near=False):
        if any(meant(pod, term, o, cluster) and same_domain(term.topology_key, node, n) for o, n in placed):
            return "node(s) didn't match pod anti-affinity rules"
    for other, where in placed:
        for term in terms(other, near=False):
            if meant(other, term, pod, cluster) and same_domain(term.topology_key, node, where):
                return "node(s) didn't satisfy existing pods anti-affinity rules"
    return ""


def affinity_scores(pod: Pod, feasible: Sequence[Node], cluster: Cluster) -> dict[str, float]:
    sums = {node.metadata.name: 0 for node in feasible}
    for other, where in cluster.placed():
        wishes = [(pod, one.pod_affinity_term, other, one.weight) for one in preferred(pod, near=True)]
        wishes += [(pod, one.pod_affinity_term, other, -one.weight) for one in preferred(pod, near=False)]
        wishes += [(other, one.pod_affinity_term, pod, one.weight) for one in preferred(other, near=True)]
        wishes += [(other, one.pod_affinity_term, pod, -one.weight) for one in preferred(other, near=False)]
        wishes += [(other, one, pod, 1) for one in terms(other, near=True)]
        for owner, term, about, weight in wishes:
            if meant(owner, term, about, cluster):
                for node in feasible:
                    if same_domain(term.topology_key, node, where):
                        sums[node.metadata.name] += weight
    least, most = min(sums.values()), max(sums.values())
    return {name: 100 * (value - least) / (most - least) if most > least else 0 for name, value in sums.items()}


# Spreading


def counts(pod: Pod, constraint: TopologySpreadConstraint, other: Pod) -> bool:
    own, labels = pod.metadata.labels, other.metadata.labels
    return (
        other.metadata.namespace == pod.metadata.namespace
        and other.metadata.deletion_timestamp is None
        and selects(constraint.label_selector, labels)
        and all(labels.get(key) == own[key] for key in constraint.match_label_keys if key in own)
    )


def included(pod: Pod, constraint: TopologySpreadConstraint, node: Node) -> bool:
    if constraint.node_affinity_policy != "Ignore" and not admitted(pod, node):
        return False
    return constraint.node_taints_policy != "Honor" or not untolerated(pod, node, ("NoSchedule", "NoExecute"))


def spread_reason(pod: Pod, node: Node, cluster: Cluster) -> str:
    hard = [one for one in pod.spec.topology_spread_constraints if one.when_unsatisfiable == "DoNotSchedule"]
    for constraint in hard:
        key = constraint.topology_key
        if key not in node.metadata.labels:
            return "node(s) didn't match pod topology spread constraints (missing required label)"
        per_domain: dict[str, int] = {}
        for each in cluster.nodes:
            if all(one.topology_key in each.metadata.labels for one in hard) and included(pod, constraint, each):
                matching = sum(counts(pod, constraint, other) for other in cluster.on(each))
                value = each.metadata.labels[key]
                per_domain[value] = per_domain.get(value, 0) + matching
        least = min(per_domain.values(), default=0)
        if len(per_domain) < (constraint.min_domains or 1):
            least = 0
        here = per_domain.get(node.metadata.labels[key], 0) + counts(pod, constraint, pod)
        if here - least > constraint.max_skew:
            return "node(s) didn't match pod topology spread constraints"
    return ""


def spread_scores(pod: Pod, feasible: Sequence[Node], cluster: Cluster) -> dict[str, float] | None:
    """Of the pod's own constraints; None where it has none to be scored by."""
    soft = [one for one in pod.spec.topology_spread_constraints if one.when_unsatisfiable == "ScheduleAnyway"]
    keys = [one.topology_key for one in soft]
    rated = [node for node in feasible if all(key in node.metadata.labels for key in keys)]
    if not soft or not rated:
        return None
    sums = dict.fromkeys((node.metadata.name for node in rated), 0.0)
    for constraint in soft:
        key = constraint.topology_key
        hostname = key == "kubernetes.io/hostname"
        size = len(rated) if hostname else len({node.metadata.labels[key] for node in rated})
        for node in rated:
            pods = 0
            for each in cluster.nodes:
                if hostname:
                    counted = each is node
                else:
                    counted = (
                        same_domain(key, node, each)
                        and all(one in each.metadata.labels for one in keys)
                        and included(pod, constraint, each)
                    )
                if counted:
                    pods += sum(counts(pod, constraint, other) for other in cluster.on(each))
            sums[node.metadata.name] += pods * math.log(size + 2) + constraint.max_skew - 1
    sums = {name: round(value) for name, value in sums.items()}
    least, most = min(sums.values()), max(sums.values())
    scores = {name: 100.0 if most == 0 else 100 * (most + least - value) / most for name, value in sums.items()}
    return {node.metadata.name: scores.get(node.metadata.name, 0.0) for node in feasible}


# All of it


def reasons(pod: Pod, node: Node, cluster: Cluster) -> tuple[str, ...]:
    """Why this node can't take the pod; nothing if it can."""
    cordon = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
    if node.spec.unschedulable and not any(tolerates(one, cordon) for one in pod.spec.tolerations):
        return ("node(s) were unschedulable",)
    for taint in untolerated(pod, node, ("NoSchedule", "NoExecute")):
        return (f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}",)
    if not admitted(pod, node):
        return ("node(s) didn't match Pod's node affinity/selector",)
    for protocol, address, port in ports(pod):
        for other in cluster.on(node):
            for theirs in ports(other):
                if (
                    theirs[0] == protocol
                    and theirs[2] == port
                    and (address == theirs[1] or "0.0.0.0" in (address, theirs[1]))
                ):
                    return ("node(s) didn't have free ports for the requested pod ports",)
    used: Counter[str] = Counter()
    for other in cluster.on(node):
        used.update(asked(other))
    short = []
    for name, amount in asked(pod).items():
        have = scaled(name, node.status.allocatable[name]) if name in node.status.allocatable else 0
        if used[name] + amount > have:
            short.append("Too many pods" if name == "pods" else f"Insufficient {name}")
    if short:
        return tuple(sorted(short))
    reason = spread_reason(pod, node, cluster) or affinity_reason(pod, node, cluster)
    return (reason,) if reason else ()


def message(pod: Pod, cluster: Cluster) -> str:
    """Of a pod that fits nowhere."""
    found = Counter(reason for node in cluster.nodes for reason in reasons(pod, node, cluster))
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in found.items()))
    return f"0/{len(cluster.nodes)} nodes are available: {listed}."

"""Why a pod is as it is: its conditions, containers, node and events as findings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from knarr_api.types.core_v1 import ContainerStatus, Event, Node, Pod

REMEDIES = {
    "ErrImagePull": "import the image with 'knarr image import FILE', or correct its name",
    "ImagePullBackOff": "import the image with 'knarr image import FILE', or correct its name",
    "ErrImageNeverPull": "import the image with 'knarr image import FILE'",
    "InvalidImageName": "correct spec.containers[].image",
    "CreateContainerConfigError": "create the ConfigMap or Secret that is missing, or mark the reference optional",
    "RunContainerError": "look at command and args: the program must exist in the image",
    "CrashLoopBackOff": "look at its last words with 'knarr logs --previous'",
    "OOMKilled": "raise resources.limits.memory, or make the program use less",
}
MAX_EVENTS = 10
MAX_NODES = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """severity: ok, info, warning, error."""

    severity: str
    subject: str
    reason: str
    message: str
    remedy: str = ""


def summary(pod: Pod, found: tuple[Finding, ...]) -> str:
    """One sentence."""
    worst = next((f for severity in ("error", "warning") for f in found if f.severity == severity), None)
    state = f"pod {pod.metadata.name} is {pod.status.phase or 'Pending'}"
    if pod.metadata.deletion_timestamp is not None:
        state = f"pod {pod.metadata.name} is being deleted"
    if worst is None:
        return f"{state}, and nothing is wrong with it"
    return f"{state}: {worst.subject}: {worst.message or worst.reason}"


def findings(
    pod: Pod,
    node: Node | None,
    events: tuple[Event, ...],
    verdicts: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """In the order in which a pod comes to life. verdicts: of each node, why it can't take the pod."""
    return (*_scheduling(pod), *_verdicts(verdicts), *_node(pod, node), *_containers(pod), *_events(events))


def _scheduling(pod: Pod) -> Iterator[Finding]:
    condition = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
    if pod.spec.node_name:
        yield Finding("ok", "scheduling", "Scheduled", f"assigned to node {pod.spec.node_name}")
    elif pod.spec.scheduling_gates:
        gates = ", ".join(gate.name for gate in pod.spec.scheduling_gates)
        yield Finding("warning", "scheduling", "SchedulingGated", f"held back by its gates: {gates}")
    elif condition is not None and condition.status == "False":
        remedy = "free or add resources, or loosen what the pod demands of its node"
        yield Finding("error", "scheduling", condition.reason, condition.message, remedy)
    else:
        yield Finding("info", "scheduling", "Waiting", "waits for the scheduler")


def _verdicts(verdicts: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Node by node where they are few, else reason by reason."""
    if len(verdicts) <= MAX_NODES:
        for name, reasons in sorted(verdicts.items()):
            if reasons:
                yield Finding("warning", f"node {name}", "DoesNotFit", ", ".join(reasons))
            else:
                yield Finding("info", f"node {name}", "Fits", "could take it")
        return
    for reasons, count in Counter(verdicts.values()).most_common(MAX_NODES):
        text = ", ".join(reasons) if reasons else "could take it"
        yield Finding("warning" if reasons else "info", f"{count} nodes", "DoesNotFit" if reasons else "Fits", text)


def _node(pod: Pod, node: Node | None) -> Iterator[Finding]:
    if not pod.spec.node_name:
        return
    subject = f"node {pod.spec.node_name}"
    if node is None:
        yield Finding("error", subject, "NodeNotFound", "the node does not exist any more", "delete the pod")
        return
    ready = next((c for c in node.status.conditions if c.type == "Ready"), None)
    if ready is None or ready.status != "True":
        state = ready.status if ready is not None else "Unknown"
        message = ready.message if ready is not None else "it has never reported"
        yield Finding("error", subject, "NodeNotReady", f"Ready is {state}: {message}", "look at the node's agent")
    else:
        yield Finding("ok", subject, "NodeReady", "ready")


def _containers(pod: Pod) -> Iterator[Finding]:
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        yield from _container(f"container {status.name}", status)


def _container(subject: str, status: ContainerStatus) -> Iterator[Finding]:
    state = status.state
    if state is None:
        return
    if state.waiting is not None:
        reason = state.waiting.reason
        severity = "info" if reason in ("ContainerCreating", "PodInitializing") else "error"
        yield Finding(severity, subject, reason, state.waiting.message or reason, REMEDIES.get(reason, ""))
    elif state.running is not None:
        severity, word = ("ok", "ready") if status.ready else ("warning", "running, not ready yet")
        yield Finding(severity, subject, "Running", f"{word}; {status.restart_count or 0} restarts")
    elif state.terminated is not None:
        ended = state.terminated
        severity = "ok" if ended.exit_code == 0 else "error"
        text = f"ended with exit code {ended.exit_code}" + (f": {ended.message}" if ended.message else "")
        yield Finding(severity, subject, ended.reason, text, REMEDIES.get(ended.reason, ""))
    last = status.last_state.terminated if status.last_state is not None else None
    if last is not None:
        text = f"its previous run ended with exit code {last.exit_code} ({last.reason})"
        severity = "warning" if last.exit_code else "info"
        yield Finding(severity, subject, last.reason, text, REMEDIES.get(last.reason, ""))


def _events(events: tuple[Event, ...]) -> Iterator[Finding]:
    for event in sorted(events, key=_when)[-MAX_EVENTS:]:
        times = f" (x{event.count})" if (event.count or 1) > 1 else ""
        yield Finding("warning" if event.type == "Warning" else "info", "event", event.reason, event.message + times)


def _when(event: Event) -> str:
    moment = event.last_timestamp or event.event_time or event.first_timestamp
    return moment.isoformat() if moment is not None else ""

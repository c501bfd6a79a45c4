"""What is counted of calls, under Kubernetes' names and words: verbs and codes are those of HTTP.

A verb that Kubernetes does not have keeps its own name. Kinds that are not served count as ``unknown``, so that nobody
can make series without end.
"""

from __future__ import annotations

import functools
from typing import Any

from prometheus_client import Counter

from knarr_api import kinds
from knarr_controlplane import metrics
from knarr_proto.v1 import objects_pb2

MAX_METERS = 4096
VERBS = {
    "CREATE": "POST",
    "APPLY": "PATCH",
    "SERVER_SIDE_APPLY": "APPLY",
    "UPDATE": "PUT",
    "DELETECOLLECTION": "DELETECOLLECTION",
    "BIND": "POST",
    "EVICT": "POST",
}
SUBRESOURCES = {"BIND": "binding", "EVICT": "eviction", "LOGS": "log"}
MUTATING = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
CODES = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 422,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "OUT_OF_RANGE": 410,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""Of gRPC's."""
_KNOWN = {(kind.group, kind.version, kind.resource): kind for kind in (*kinds.KINDS, *kinds.COMPUTED)}


class Meter:
    """The metrics of one verb on one resource."""

    def __init__(self, verb: str, dry_run: str, group: str, version: str, resource: str, subresource: str, scope: str):
        of_resource = (group, version, resource, subresource, scope, "apiserver")
        self._creates = verb == "POST" and not subresource
        self._labels = (verb, dry_run, *of_resource)
        self._duration = metrics.REQUEST_DURATION.labels(*self._labels)
        self._answers: dict[str, Counter] = {}
        self.open = metrics.LONG_RUNNING.labels(verb, *of_resource)
        self.under_way = metrics.INFLIGHT.labels("mutating" if verb in MUTATING else "readOnly")

    def answered(self, code: str, seconds: float | None = None) -> None:
        """code: gRPC's name of it."""
        counter = self._answers.get(code)
        if counter is None:
            number = 201 if self._creates and code == "OK" else CODES.get(code, 500)
            counter = self._answers[code] = metrics.REQUESTS.labels(*self._labels, str(number))
        counter.inc()
        if seconds is not None:
            self._duration.observe(seconds)


def meter(method: str, request: Any) -> Meter:
    """For a call, by its method in capitals and what it is about."""
    asked = getattr(request, "type", None)
    if method in SUBRESOURCES:
        return _meter(
            method, bool(getattr(request, "dry_run", False)), "", "v1", "pods", SUBRESOURCES[method], "resource"
        )
    if not isinstance(asked, objects_pb2.ResourceType):
        return _meter(method, False, "", "", "", "", "")
    subresource = getattr(request, "subresource", "")
    if method == "PATCH" and request.patch_type == objects_pb2.APPLY:
        method = "SERVER_SIDE_APPLY"
    namespace, name = getattr(request, "namespace", ""), getattr(request, "name", "")
    scope = "resource" if name or method in ("CREATE", "UPDATE") else "namespace" if namespace else "cluster"
    dry_run = bool(getattr(request, "dry_run", False))
    return _meter(method, dry_run, asked.group, asked.version, asked.resource, subresource, scope)


@functools.lru_cache(maxsize=MAX_METERS)
def _meter(method: str, dry_run: bool, group: str, version: str, resource: str, subresource: str, scope: str) -> Meter:
    if resource and (group, version, resource) not in _KNOWN:
        group, version, resource, subresource = "", "", "unknown", ""
    elif subresource not in ("", "status", "scale", "binding", "eviction", "log", "ephemeralcontainers", "resize"):
        subresource = "unknown"
    return Meter(VERBS.get(method, method), "All" if dry_run else "", group, version, resource, subresource, scope)

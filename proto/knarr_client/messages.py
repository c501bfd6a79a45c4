"""The client's words and the messages' words for the same things."""

from __future__ import annotations

from knarr_api.kinds import Kind
from knarr_client.client import EventType, Outcome, PatchType, Propagation
from knarr_proto.v1 import objects_pb2 as pb

EVENT_TYPES = {
    pb.WatchEvent.ADDED: EventType.ADDED,
    pb.WatchEvent.MODIFIED: EventType.MODIFIED,
    pb.WatchEvent.DELETED: EventType.DELETED,
    pb.WatchEvent.BOOKMARK: EventType.BOOKMARK,
}
OUTCOMES = {
    pb.ApplyResponse.CREATED: Outcome.CREATED,
    pb.ApplyResponse.CONFIGURED: Outcome.CONFIGURED,
    pb.ApplyResponse.UNCHANGED: Outcome.UNCHANGED,
}
PROPAGATIONS = {
    Propagation.BACKGROUND: pb.BACKGROUND,
    Propagation.FOREGROUND: pb.FOREGROUND,
    Propagation.ORPHAN: pb.ORPHAN,
}
PATCH_TYPES = {
    PatchType.JSON: pb.JSON_PATCH,
    PatchType.MERGE: pb.MERGE,
    PatchType.STRATEGIC: pb.STRATEGIC,
    PatchType.APPLY: pb.APPLY,
}


def resource_type(kind: Kind) -> pb.ResourceType:
    return pb.ResourceType(group=kind.group, version=kind.version, resource=kind.resource)

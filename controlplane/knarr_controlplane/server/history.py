"""``knarr.v1.History``: revisions by time, and an object's versions with who changed what."""

from __future__ import annotations

import datetime
from typing import Any

from knarr_api import errors, json
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.pki import identity
from knarr_controlplane.registry import versions
from knarr_controlplane.registry.past import Past
from knarr_controlplane.registry.versions import ABSENT, Author, FieldChange
from knarr_controlplane.server import documents
from knarr_controlplane.server.calls import unary
from knarr_proto.v1 import history_pb2, history_pb2_grpc

USUAL_LIMIT, MAX_LIMIT = 20, 500


class History(history_pb2_grpc.HistoryServicer):
    def __init__(self, past: Past, authorizer: Authorizer) -> None:
        self._past = past
        self._authorizer = authorizer

    @unary
    async def At(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "read the past")
        if not request.HasField("time"):
            raise errors.Invalid("time: Required value")
        try:
            time = request.time.ToDatetime(tzinfo=datetime.UTC)
        except (ValueError, OverflowError) as error:
            raise errors.Invalid(f"time: Invalid value: {error}") from None
        return history_pb2.AtResponse(resource_version=str(await self._past.at(time)))

    @unary
    async def Versions(self, request: Any, context: Any) -> Any:
        kind = documents.kind_of(request.type)
        caller = identity.of_call(context)
        self._authorizer.check(caller, "get", kind, namespace=request.namespace, name=request.name)
        self._authorizer.check_admin(caller, "read the past")
        if not 0 <= request.limit <= MAX_LIMIT:
            raise errors.Invalid(f"limit: Invalid value: {request.limit}: must be between 0 and {MAX_LIMIT}")
        limit = request.limit or USUAL_LIMIT
        key = kind.key(request.namespace, request.name)
        entries, complete = await self._past.versions(kind, key, limit + 1)
        removed = 0 if entries else await self._past.removal(key)
        if removed:
            entries, complete = await self._past.versions(kind, key, limit + 1, before=removed)
        if not entries:
            raise errors.not_found(kind.resource, request.name, kind.group)
        complete = complete and len(entries) <= limit
        answer = history_pb2.VersionsResponse(complete=complete)
        if removed:
            answer.versions.append(_removal(removed, await self._past.time_of(removed), entries[0]))
        for number, new in enumerate(entries[:limit]):
            answer.versions.append(_version(entries[number + 1] if number + 1 < len(entries) else None, new))
        if complete:
            answer.versions[-1].operation = "Create"
        return answer


def _removal(at: int, time: datetime.datetime | None, last: CacheEntry) -> Any:
    version = history_pb2.ObjectVersion(resource_version=str(at), operation="Delete")
    if time is not None:
        version.time.FromDatetime(time)
    version.object.json = last.json
    return version


def _version(old: CacheEntry | None, new: CacheEntry) -> Any:
    value = new.value()
    version = history_pb2.ObjectVersion(resource_version=str(new.revision))
    before = old.value() if old is not None else None
    author = versions.author(
        before.metadata.managed_fields if before is not None else (), value.metadata.managed_fields
    )
    if old is None:
        author = author if author.time is not None else Author(time=value.metadata.creation_timestamp)
    version.manager, version.operation, version.subresource = author.manager, author.operation, author.subresource
    if author.time is not None:
        version.time.FromDatetime(author.time)
    version.object.json = new.json
    if old is not None:
        version.changes.extend(_change(change) for change in versions.changes(json.load(old.json), json.load(new.json)))
    return version


def _change(change: FieldChange) -> Any:
    message = history_pb2.FieldChange(path=change.path)
    if change.before is not ABSENT:
        message.before = json.encode(change.before)
    if change.after is not ABSENT:
        message.after = json.encode(change.after)
    return message

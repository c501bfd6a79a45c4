"""``knarr.v1.History``: revisions by time, and an object's versions with who changed what."""

from __future__ import annotations

import datetime
from typing import Any

from knarr_api import errors, json
from knarr_api.kinds import Kind
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
MAX_TIMED = 50
"""So many are told when they were written where nobody is recorded for it: each has to be looked up."""
MAX_BYTES = 8 << 20
"""Of objects in one answer, one more."""
STATUS = ("status.", "status")


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
        answer = history_pb2.VersionsResponse()
        removed = 0
        if not await self._add(answer, kind, key, limit, request.without_status):
            removed = await self._past.removal(key)
            if not removed or not await self._add(answer, kind, key, limit, request.without_status, before=removed):
                raise errors.not_found(kind.resource, request.name, kind.group)
        for version in answer.versions[:MAX_TIMED]:
            if not version.HasField("time"):
                _stamp(version, await self._past.time_of(int(version.resource_version)))
        if removed:
            gone = history_pb2.ObjectVersion(resource_version=str(removed), operation="Delete")
            gone.object.CopyFrom(answer.versions[0].object)
            _stamp(gone, await self._past.time_of(removed))
            answer.versions.insert(0, gone)
        return answer

    async def _add(
        self, answer: Any, kind: Kind, key: str, limit: int, without_status: bool, *, before: int = 0
    ) -> bool:
        """Whether there is any version; each is compared with the one before it, which is read for that."""
        new: CacheEntry | None = None
        seen, size_bytes = 0, 0
        async for old, is_first in self._past.walk(kind, key, before=before):
            seen += 1
            if new is not None and (version := _version(old, new, without_status=without_status)) is not None:
                answer.versions.append(version)
            elif new is not None:
                answer.left_out += 1
            new = old
            size_bytes += len(old.json)
            if len(answer.versions) == limit or seen > MAX_LIMIT or size_bytes > MAX_BYTES:
                return True
            if is_first:
                answer.versions.append(_version(None, old))
                answer.versions[-1].operation = "Create"
                answer.complete = True
                return True
        if new is not None:
            answer.versions.append(_version(None, new))
        return new is not None


def _stamp(version: Any, time: datetime.datetime | None) -> None:
    if time is not None:
        version.time.FromDatetime(time)


def _version(old: CacheEntry | None, new: CacheEntry, *, without_status: bool = False) -> Any:
    """None for one that is to be left out."""
    found = list(versions.changes(json.load(old.json), json.load(new.json))) if old is not None else []
    if without_status and old is not None and all(change.path.startswith(STATUS) for change in found):
        return None
    value = new.value()
    version = history_pb2.ObjectVersion(resource_version=str(new.revision))
    before = old.value() if old is not None else None
    author = versions.author(
        before.metadata.managed_fields if before is not None else (), value.metadata.managed_fields
    )
    if old is None:
        author = author if author.time is not None else Author(time=value.metadata.creation_timestamp)
    version.manager, version.operation, version.subresource = author.manager, author.operation, author.subresource
    _stamp(version, author.time)
    version.object.json = new.json
    version.changes.extend(map(_change, found))
    return version


def _change(change: FieldChange) -> Any:
    message = history_pb2.FieldChange(path=change.path)
    if change.before is not ABSENT:
        message.before = json.encode(change.before)
    if change.after is not ABSENT:
        message.after = json.encode(change.after)
    return message

"""Server-side apply on the registry: create, or merge and own; see ``server_side_apply``."""

from __future__ import annotations

from typing import Any

from knarr_api import errors, json
from knarr_api.kinds import Kind
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.registry import managed_fields
from knarr_controlplane.registry.addressing import check_uid
from knarr_controlplane.registry.decisions import preparation
from knarr_controlplane.registry.managed_fields import APPLY, Writer
from knarr_controlplane.registry.patching import Config, Decode
from knarr_controlplane.registry.registry import Registry


async def apply_fields(
    registry: Registry,
    kind: Kind,
    namespace: str,
    name: str,
    document: dict[str, Any],
    *,
    manager: str,
    force: bool = False,
    subresource: str = "",
    dry_run: bool = False,
    decode: Decode = json.decode_strict,
) -> tuple[CacheEntry, str]:
    """Returns the outcome as well. Raises Conflict, naming who owns what this would change, unless forced."""
    if not manager:
        raise errors.Invalid("fieldManager: Required value: is required for apply patch")
    managed_fields.check_name(manager)
    prepare = preparation(subresource)
    config = Config(document, kind, subresource, decode)
    writer = Writer(manager=manager, operation=APPLY, subresource=subresource)

    async def create() -> CacheEntry:
        if uid := config.value.metadata.uid:
            raise errors.Conflict(
                f'Operation cannot be fulfilled on {kind.qualified} "{name}": uid mismatch: '
                f"the provided object specified uid {uid}, and no existing object was found"
            )
        return await registry.create(config.value, writer=writer, dry_run=dry_run, config=config)

    if registry.is_missing(kind, namespace, name):
        if subresource:
            raise errors.not_found(kind.resource, name, kind.group)
        try:
            return await create(), "created"
        except errors.AlreadyExists:
            await registry.catch_up()

    def decide(old: Any) -> Any:
        check_uid(kind, old, config.value.metadata.uid)
        return config.applied(
            old,
            writer,
            registry.now(),
            force=force,
            prepare=lambda was, new: prepare(was, new, registry.admission),
        )

    try:
        entry, any_change = await registry.changed(kind, namespace, name, decide, config.revision, dry_run=dry_run)
    except errors.NotFound:  # gone meanwhile, or before this cache has seen it go
        if subresource or config.revision:
            raise
        return await create(), "created"
    return entry, "configured" if any_change else "unchanged"

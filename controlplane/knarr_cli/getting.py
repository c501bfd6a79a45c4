"""What ``get`` shows: objects by name, or all of a kind page by page, as they are or were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from knarr_api.errors import Expired, NotFound, not_found
from knarr_api.kinds import Kind
from knarr_cli.cells import at
from knarr_client.grpc import GrpcClient

Item = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Wanted:
    """namespace: empty for all. revision: that of the past, or empty for now. page_size: 0 for all at once."""

    targets: list[tuple[Kind, str]]
    """Each with a name, or all of a kind without."""
    places: dict[tuple[Kind, str], str]
    """Namespaces of those that are elsewhere than the others."""
    namespace: str
    selector: str
    fields: str
    page_size: int
    subresource: str
    revision: str = ""

    @property
    def one(self) -> bool:
        """Whether a single object is named."""
        return len(self.targets) == 1 and bool(self.targets[0][1])

    def fields_to_follow(self) -> str:
        """The field selector of a watch on the one kind that is wanted."""
        name = self.targets[0][1]
        return ",".join(part for part in (self.fields, f"metadata.name={name}" if name else "") if part)


@dataclass(slots=True)
class Found:
    groups: dict[Kind, list[Item]] = field(default_factory=dict)
    revisions: dict[Kind, str] = field(default_factory=dict)
    """Of kinds of which all were asked for."""
    missing: list[NotFound] = field(default_factory=list)

    def revision(self, kind: Kind) -> str:
        """From which on to follow that kind's changes."""
        items = self.groups[kind]
        return self.revisions.get(kind) or max((at(i, "metadata.resourceVersion", "0") for i in items), default="0")


async def find(client: GrpcClient, wanted: Wanted) -> Found:
    """Raises what reading raises, but NotFound of a name, which is kept beside what was found."""
    found = Found()
    for kind, name in wanted.targets:
        items = found.groups.setdefault(kind, [])
        namespace = wanted.namespace if kind.namespaced else ""
        if not name:
            found.revisions[kind] = await _all_pages(client, kind, namespace, wanted, items)
            continue
        place = wanted.places.get((kind, name)) if kind.namespaced else ""
        try:
            items.append(await _one(client, kind, name, place or namespace, wanted))
        except NotFound as error:
            found.missing.append(error)
    return found


async def _all_pages(client: GrpcClient, kind: Kind, namespace: str, wanted: Wanted, items: list[Item]) -> str:
    """All objects into items, so many at once; returns their revision. One page that has become too old: all anew."""
    continue_, size = "", wanted.page_size
    while True:
        try:
            page = await client.raw.list(
                kind,
                namespace,
                label_selector=wanted.selector,
                field_selector=wanted.fields,
                limit=size,
                continue_=continue_,
                resource_version="" if continue_ else wanted.revision,
                resource_version_match="Exact" if wanted.revision and not continue_ else "",
            )
        except Expired:
            if not continue_:
                raise
            items.clear()
            continue_, size = "", 0
            continue
        items += page.items
        continue_ = page.continue_
        if not continue_:
            return page.resource_version


async def _one(client: GrpcClient, kind: Kind, name: str, namespace: str, wanted: Wanted) -> Item:
    """At a revision, or now. Raises NotFound."""
    if not wanted.revision:
        return await client.raw.get(kind, name, namespace, subresource=wanted.subresource)
    page = await client.raw.list(
        kind,
        namespace,
        field_selector=f"metadata.name={name}",
        resource_version=wanted.revision,
        resource_version_match="Exact",
    )
    if not page.items:
        raise not_found(kind.resource, name, kind.group)
    return page.items[0]

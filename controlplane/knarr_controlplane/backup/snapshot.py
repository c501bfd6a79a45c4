"""Making a backup of an open store: page by page at one revision, so that writers go on meanwhile."""

from __future__ import annotations

import asyncio
import datetime
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from knarr_api.errors import Expired, NotFound, Unavailable
from knarr_controlplane.backup.archive import FIRST, FORMAT, FORMAT_LINE, PKI, Manifest, Writer, lines
from knarr_controlplane.store.protocol import Store
from knarr_controlplane.version import KUBERNETES_VERSION, VERSION

ROOT = "/registry/"
PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a backup is of. pki: the directory of the cluster's keys; store: its kind, for the manifest."""

    pki: Path
    cluster_id: str
    store: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the file, and how many objects it holds with them."""

    data: bytes
    objects: int


async def snapshot(store: Store, origin: Origin, now: datetime.datetime) -> AsyncIterator[Piece]:
    """The file's bytes. Raises what the store raises, Unavailable when it took longer than revisions are kept."""
    writer = Writer()
    head = [writer.add(FIRST, FORMAT_LINE)]
    for name in PKI:
        try:
            head.append(writer.add(f"pki/{name}", (origin.pki / name).read_bytes()))
        except FileNotFoundError:
            raise NotFound(f"{origin.pki / name} not found: without it a backup can't be used") from None
    yield Piece(b"".join(head), 0)
    kinds: Counter[str] = Counter()
    after, at, number = "", 0, 0
    while True:
        try:
            page = await store.list(ROOT, limit=PAGE, after=after, at_revision=at)
        except Expired as error:
            raise Unavailable(
                "the backup took longer than old revisions are kept: raise the control plane's --retention"
            ) from error
        at = page.revision
        if page.entries:
            pairs = [(entry.key, entry.value) for entry in page.entries]
            kinds.update(_kind(key) for key, _ in pairs)
            content = await asyncio.to_thread(lambda name, pairs: writer.add(name, lines(pairs)), _part(number), pairs)
            yield Piece(content, kinds.total())
            number, after = number + 1, pairs[-1][0]
        if not page.more:
            break
    manifest = Manifest(
        format=FORMAT,
        knarr_version=VERSION,
        kubernetes_version=KUBERNETES_VERSION,
        created=now.isoformat(timespec="seconds"),
        cluster_id=origin.cluster_id,
        store=origin.store,
        revision=at,
        objects=kinds.total(),
        kinds=dict(sorted(kinds.items())),
        members=writer.members,
    )
    yield Piece(writer.finish(manifest), kinds.total())


def _part(number: int) -> str:
    return f"store/{number:05}.jsonl"


def _kind(key: str) -> str:
    """``/registry/apps/deployments/default/web`` is one of ``apps/deployments``."""
    return "/".join(key.split("/", 4)[2:4])

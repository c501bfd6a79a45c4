"""What the shell offers after ``knarr get po<Tab>``: kinds, then names as the API knows them now.

Nothing is ever said or raised here: where the API does not answer within a second nothing is offered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import click
from click.shell_completion import CompletionItem

from knarr_api import kinds
from knarr_api.errors import KnarrError
from knarr_api.kinds import Kind
from knarr_cli.session import session

DEADLINE_S = 1.0
NAMES_MAX = 200


def resources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kinds; names of a kind that stands before; ``KIND/NAME``."""
    before: Sequence[str] = ctx.params.get(str(param.name)) or ()
    if "/" in incomplete:
        kind_word, _, start = incomplete.partition("/")
        return _items((f"{kind_word}/{name}" for name in _names(ctx, kind_word)), f"{kind_word}/{start}")
    if before and "/" not in before[0]:
        return _items((name for name in _names(ctx, before[0]) if name not in before), incomplete)
    head, comma, last = incomplete.rpartition(",")
    return _items((f"{head}{comma}{kind.resource}" for kind in kinds.KINDS), f"{head}{comma}{last}")


def pods(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of pods."""
    return _items(_names(ctx, "pods"), incomplete)


def nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of nodes."""
    return _items(_names(ctx, "nodes"), incomplete)


def namespaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of namespaces."""
    return _items(_names(ctx, "namespaces"), incomplete)


def _items(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in dict.fromkeys(words) if word.startswith(incomplete)]


def _names(ctx: click.Context, kind_word: str) -> list[str]:
    try:
        kind = kinds.lookup(kind_word)
        return asyncio.run(_listed(ctx, kind))
    except (KnarrError, TimeoutError):
        return []


async def _listed(ctx: click.Context, kind: Kind) -> list[str]:
    own = session(ctx)
    namespace = own.namespace(ctx.params.get("namespace") or "") if kind.namespaced else ""
    async with asyncio.timeout(DEADLINE_S), own.connect() as client:
        page = await client.raw.list(kind, namespace, limit=NAMES_MAX)
    return [item["metadata"]["name"] for item in page.items]

"""Blocking work that cancellation waits for: when a build is cancelled, nothing of it may still write to its files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

MAX_THREADS = 8
_THREADS = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="build")
"""The builds' own: long copies must not keep anybody else from a thread."""

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """As asyncio.to_thread; but cancelled, it ends only when the function has."""
    future = asyncio.get_running_loop().run_in_executor(_THREADS, partial(function, *arguments, **named))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait((future,))
        raise

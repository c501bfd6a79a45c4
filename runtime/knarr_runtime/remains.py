"""Records that an earlier daemon left, read with distrust: a full disk, a bug or a hand may have damaged any of them.

One that is damaged costs what it describes, never the rest: whoever reads it decides what is lost with it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TypeVar

import structlog

from knarr_runtime import layout
from knarr_runtime.errors import RuntimeFailure

_T = TypeVar("_T")
_log = structlog.get_logger("knarr.records")


def read(directory: str, name: str, parse: Callable[[layout.Record], _T]) -> tuple[_T | None, bool]:
    """(what the record says, whether it is damaged); nothing is said by one that is missing or damaged."""
    try:
        record = layout.read(directory, name)
        return (None if record is None else parse(record)), False
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeFailure) as error:
        _log.warning("a record is damaged", file=f"{directory}/{name}", error=repr(error))
        return None, True


def clear(directory: str) -> None:
    """Removes the directory of a sandbox or container. Quickest if it holds files only."""
    try:
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
        os.rmdir(directory)
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)

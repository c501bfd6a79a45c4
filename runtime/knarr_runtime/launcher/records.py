"""What the records of shim and daemon say. Each function raises KeyError, TypeError or ValueError on a damaged one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from knarr_runtime.channel import Message
from knarr_runtime.launcher.values import Exit
from knarr_runtime.spec import ContainerSpec, SandboxSpec


def sandbox_spec(record: Message) -> SandboxSpec:
    return SandboxSpec.from_json(record["spec"])


def container_spec(record: Message) -> tuple[ContainerSpec, int]:
    """And when it was created."""
    return ContainerSpec.from_json(record["spec"]), int(record["created_at_ns"])


def identity(record: Message) -> dict[str, int]:
    return {"pid": int(record["pid"]), "start_time": int(record["start_time"])}


def process_record(record: Message) -> dict[str, int]:
    return {**identity(record), "started_at_ns": int(record["started_at_ns"])}


def shim_record(record: Message) -> dict[str, int]:
    return {**identity(record), "created_at_ns": int(record["created_at_ns"])}


def exit_of(record: Mapping[str, Any]) -> Exit:
    return Exit(
        exit_code=int(record["exit_code"]),
        signal=int(record["signal"]),
        oom_killed=bool(record["oom_killed"]),
        oom_kills=int(record.get("oom_kills", 0)),
        finished_at_ns=int(record["finished_at_ns"]),
        reason=str(record["reason"]),
    )


def made_up(exit_code: int, reason: str) -> Message:
    """The exit record of a container whose shim could not write one."""
    return {
        "exit_code": exit_code,
        "signal": 0,
        "oom_killed": False,
        "finished_at_ns": time.time_ns(),
        "reason": reason,
    }

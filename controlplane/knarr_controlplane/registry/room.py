"""Objects that can't be stored because they have too many containers are refused before much is done with them.

Every container gets defaults, is checked and has owners of its fields: what a small request asks for takes the server
seconds, in which it would do nothing else. Pure.
"""

from __future__ import annotations

from typing import Any

from knarr_api import json
from knarr_api.errors import Invalid
from knarr_controlplane.store.protocol import MAX_VALUE_BYTES

MANY, TOO_MANY = 200, 10_000
"""Containers: from so many on an object's size is looked at early, and with more it is too large whatever they are."""


def check_number(obj: Any) -> None:
    """Raises Invalid."""
    number = containers(obj)
    if number > TOO_MANY:
        raise Invalid(
            f"Request entity too large: limit is {MAX_VALUE_BYTES} bytes for a stored object, "
            f"{number} containers take more: at most {TOO_MANY} can fit"
        )


def check_size(obj: Any) -> None:
    """Of one with its defaults. Raises Invalid."""
    number = containers(obj)
    if number <= MANY:
        return
    size_bytes = len(json.encode(obj))
    if size_bytes > MAX_VALUE_BYTES:
        raise Invalid(
            f"Request entity too large: limit is {MAX_VALUE_BYTES} bytes for a stored object, "
            f"with its {number} containers' defaults it has {size_bytes}"
        )


def containers(obj: Any) -> int:
    """Of a pod, or of the template of what makes pods, or jobs."""
    spec = getattr(obj, "spec", None)
    spec = getattr(getattr(getattr(spec, "job_template", None), "spec", spec), "template", None) or obj
    spec = getattr(spec, "spec", None)
    return sum(len(getattr(spec, field, ())) for field in ("containers", "init_containers", "ephemeral_containers"))

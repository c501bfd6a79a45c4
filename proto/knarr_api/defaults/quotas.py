"""Defaults of LimitRanges."""

from __future__ import annotations

from knarr_api.defaults.fill import change, each
from knarr_api.types.core_v1 import LimitRange, LimitRangeItem


def limit_range(given: LimitRange) -> LimitRange:
    return change(given, spec=change(given.spec, limits=each(given.spec.limits, _item)))


def _item(item: LimitRangeItem) -> LimitRangeItem:
    """A container's limit is the maximum where none is given, its request the limit, then the minimum."""
    if item.type != "Container":
        return item
    default = {**item.max, **item.default}
    request = {**item.min, **default, **item.default_request}
    return change(
        item,
        default=item.default if default == item.default else default,
        default_request=item.default_request if request == item.default_request else request,
    )

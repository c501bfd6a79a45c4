"""New pods of one template: what was made of the first holds for all that differ from it in nothing but their names, so
that a template is admitted, filled in and checked once.

What admission looks at besides the pod is compared as well: as long as it is the same, its answer is.
"""

from __future__ import annotations

import datetime
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import json
from knarr_api.types.core_v1 import Pod, PodStatus
from knarr_api.validation import names
from knarr_controlplane.registry import managed_fields

replace = msgspec.structs.replace
NO_STATUS = PodStatus()
TEMPLATES_MAX, TEMPLATE_BYTES_MAX = 256, 32 * 1024
"""That are remembered, and of each."""


@dataclass(frozen=True, slots=True)
class Sibling:
    """A pod as it was given and as it is stored."""

    given: Any
    made: Any

    def is_like(self, obj: Any) -> bool:
        """Where both were made of one template in memory."""
        given, name = self.given, obj.metadata.name
        return (
            isinstance(obj, Pod)
            and obj.spec is given.spec
            and replace(obj.metadata, name=given.metadata.name) == given.metadata
            and is_name(name)
        )

    def named(self, name: str, uid: str) -> Any:
        return replace(self.made, metadata=replace(self.made.metadata, name=name, uid=uid))

    def born(self, name: str, uid: str, now: datetime.datetime) -> Any:
        """As ``named``, at another time."""
        at, metadata = now.replace(microsecond=0), self.made.metadata
        if metadata.creation_timestamp == at:
            return self.named(name, uid)
        fields = managed_fields.at(metadata.managed_fields, at)
        metadata = replace(metadata, name=name, uid=uid, creation_timestamp=at, managed_fields=fields)
        return replace(self.made, metadata=metadata)


class Siblings:
    """The latest pod of each of the templates that were used last."""

    def __init__(self) -> None:
        self._latest: OrderedDict[Hashable, Sibling] = OrderedDict()

    def __len__(self) -> int:
        return len(self._latest)

    def of(self, template: Hashable) -> Sibling | None:
        return self._latest.get(template)

    def remember(self, template: Hashable, sibling: Sibling) -> None:
        self._latest[template] = sibling
        if len(self._latest) > TEMPLATES_MAX:
            self._latest.popitem(last=False)


def template_of(pod: Pod) -> bytes | None:
    """All of a new pod but its name, byte for byte: equal quantities may be written differently. None for one that is
    too large to be remembered, or whose name has to be complained of."""
    if not is_name(pod.metadata.name):
        return None
    document = json.encode(replace(pod, metadata=replace(pod.metadata, name=""), status=NO_STATUS))
    return document if len(document) <= TEMPLATE_BYTES_MAX else None


def is_name(name: str) -> bool:
    return not any(names.dns_subdomain("metadata.name", name))

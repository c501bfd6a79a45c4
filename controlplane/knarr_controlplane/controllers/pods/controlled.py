"""Who is told of a pod's change: whose kind controls it, and those that might adopt it if nobody does.

A pod changes a few times, and there are many kinds of controllers: who controls it is looked up once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import OwnerReference
from knarr_client.informer import Change
from knarr_controlplane.controllers import ownership

Controller = OwnerReference | None
Changed = Callable[[Change[Pod], Controller, Controller], None]
"""With who controlled it before the change and after it; one of the two is of the kind that was asked for."""
Orphan = Callable[[Pod], None]


class ControlledPods:
    """``changed`` is a handler for an informer of pods."""

    def __init__(self) -> None:
        self._told: dict[str, list[Changed]] = {}
        self._orphans: list[Orphan] = []

    def tell(self, kind: str, changed: Changed, orphan: Orphan) -> None:
        """changed: of pods that an object of this kind controls or controlled. orphan: of pods that nobody controls."""
        self._told.setdefault(kind, []).append(changed)
        self._orphans.append(orphan)

    def changed(self, change: Change[Pod]) -> None:
        before = ownership.controller_of(change.old) if change.old is not None else None
        after = ownership.controller_of(change.new) if change.new is not None else None
        for kind in {controller.kind: None for controller in (before, after) if controller is not None}:
            for told in self._told.get(kind, ()):
                told(change, before, after)
        if after is None and change.new is not None:
            for orphan in self._orphans:
                orphan(change.new)

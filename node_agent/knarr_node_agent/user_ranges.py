"""Which ids of the node a pod with ``hostUsers: false`` gets: 65,536 that no other pod of the node has.

A pod's range is written into its directory before it is used, so that it stays the same as long as the pod is here
and is free again when its directory goes. All ranges lie where nothing else takes ids: above those that systemd gives
to containers, below 2^31, which some programs take for negative.
Source: systemd "Users, Groups, UIDs and GIDs on systemd Systems".
"""

from __future__ import annotations

import os
from pathlib import Path

from knarr_api.errors import ResourceExhausted
from knarr_api.types.core_v1 import Pod

LENGTH = 65_536
FIRST, LAST = 1_879_048_192, 2**31 - LENGTH
FILE = "user-range"


class UserRanges:
    """root: where pods' directories are. Blocking, of one thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._taken: dict[str, int] | None = None

    def of(self, pod: Pod) -> int | None:
        """The first id of the pod's range; None if it has the node's own users. Raises ResourceExhausted, OSError."""
        if pod.spec.host_users is not False:
            return None
        if self._taken is None:
            self._taken = {path.parent.name: int(path.read_text()) for path in self._root.glob(f"*/{FILE}")}
        uid = pod.metadata.uid
        if uid not in self._taken:
            self._taken[uid] = self._allocate(uid)
        return self._taken[uid]

    def forget(self, uid: str) -> None:
        """The pod's directory has been removed."""
        if self._taken is not None:
            self._taken.pop(uid, None)

    def _allocate(self, uid: str) -> int:
        assert self._taken is not None
        taken = set(self._taken.values())
        free = next((base for base in range(FIRST, LAST + 1, LENGTH) if base not in taken), None)
        if free is None:
            raise ResourceExhausted("no range of user ids is free on this node for a pod with hostUsers: false")
        directory = self._root / uid
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = directory / f".{FILE}"
        with open(temporary, "w", encoding="ascii") as file:
            file.write(str(free))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(directory / FILE)
        return free

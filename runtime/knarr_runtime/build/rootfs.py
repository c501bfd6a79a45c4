"""The root of a stage as one tree: layers below, and above them what the step writes. Blocking."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from knarr_runtime.errors import Invalid
from knarr_runtime.kernel import mounts, paths, syscalls
from knarr_runtime.spec import User

MAX_USER_FILE_BYTES = 1 << 20


@contextlib.contextmanager
def opened(lower: Sequence[str], workspace: Path, upper: Path | None = None) -> Iterator[int]:
    """A descriptor of the tree, visible to nobody else; written to ``upper`` where one is given.

    lower: topmost first, may be empty. Raises OSError.
    """
    layers = list(lower)
    while len(layers) < (1 if upper is not None else 2):  # overlayfs wants two where nothing is written
        empty = workspace / f"empty-{len(layers)}"
        empty.mkdir(mode=0o755, exist_ok=True)
        layers.append(str(empty))
    work = ""
    if upper is not None:
        upper.mkdir(mode=0o755, parents=True, exist_ok=True)
        number = sum(1 for one in workspace.iterdir() if one.name.startswith("work-"))
        made = workspace / f"work-{number}"
        made.mkdir(mode=0o700)
        work = str(made)
    descriptor = mounts.overlay(layers, str(upper) if upper is not None else "", work)
    if descriptor is None:
        descriptor = _classic(layers, str(upper) if upper is not None else "", work, workspace)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _classic(layers: Sequence[str], upper: str, work: str, workspace: Path) -> int:
    """For kernels before 6.5: mounted, opened, and unmounted again with the descriptor left."""
    target = workspace / "mounted"
    target.mkdir(mode=0o700, exist_ok=True)
    mounts.mount_overlay(layers, upper, work, str(target))
    try:
        return os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        syscalls.umount(str(target))


def find_user(root: int, text: str) -> tuple[User, str]:
    """``name``, ``uid``, ``name:group`` as USER takes it, and the home directory. Raises Invalid."""
    name, _, group = text.partition(":")
    name = name or "0"
    users, groups = _table(root, "/etc/passwd"), _table(root, "/etc/group")
    entry = next((row for row in users if row[0] == name), None)
    if entry is None and name.isdecimal():
        entry = next((row for row in users if row[2] == name), None)
    if entry is None and not name.isdecimal():
        raise Invalid(f"unable to find user {name}: no matching entries in passwd file")
    uid = int(entry[2]) if entry is not None else int(name)
    gid = int(entry[3]) if entry is not None and len(entry) > 3 and entry[3].isdecimal() else 0
    more: tuple[int, ...] = ()
    if group:
        gid = find_group(root, group)
    elif entry is not None:
        login = entry[0]
        more = tuple(sorted({int(row[2]) for row in groups if len(row) > 3 and login in row[3].split(",")}))
    home = entry[5] if entry is not None and len(entry) > 5 else ""
    return User(uid=_checked(uid), gid=_checked(gid), groups=more), home or "/"


def find_group(root: int, group: str) -> int:
    """Raises Invalid."""
    row = next((row for row in _table(root, "/etc/group") if row[0] == group), None)
    if row is None and not group.isdecimal():
        raise Invalid(f"unable to find group {group}: no matching entries in group file")
    return _checked(int(row[2]) if row is not None else int(group))


def find_owner(root: int, text: str) -> tuple[int, int]:
    """``--chown``: a user alone is a group of the same number. Raises Invalid."""
    name, colon, group = text.partition(":")
    user, _ = find_user(root, name)
    return user.uid, find_group(root, group) if colon and group else user.uid


def _checked(number: int) -> int:
    if not 0 <= number < 2**32 - 1:
        raise Invalid(f"user or group {number}: not in the range 0 to {2**32 - 2}")
    return number


def _table(root: int, path: str) -> list[list[str]]:
    try:
        descriptor = paths.open_inside(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(MAX_USER_FILE_BYTES).decode(errors="replace")
    rows = [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]
    return [row for row in rows if len(row) >= 3 and row[2].isdecimal()]

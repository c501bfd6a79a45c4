"""What ``knarr-runtime run`` asks for that CRI has no field for, as annotations of its containers and sandboxes. Pure.

Annotations of a container count only beside the label STANDALONE: kubelets never let a pod's author set labels of
containers. Those of a sandbox ask for nothing that a pod may not have anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knarr_runtime.errors import Invalid
from knarr_runtime.spec import Mount, Rlimit

STANDALONE = "knarr.io/standalone"
AUTO_REMOVE = "knarr.io/auto-remove"
RESTART, RESTARTS, STOPPED = "knarr.io/restart", "knarr.io/restarts", "knarr.io/stopped"
EXTRAS = "knarr.io/extras"
VOLUMES = "knarr.io/volumes"
NO_NETWORK, HOSTS = "knarr.io/no-network", "knarr.io/hosts"
POLICIES = ("no", "always", "unless-stopped", "on-failure")
MAX_RETRIES = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """tmpfs: options by target, as for mount -o. rlimits: (name, soft, hard), -1 for no limit."""

    tmpfs: Mapping[str, str] = field(default_factory=dict)
    rlimits: tuple[tuple[str, int, int], ...] = ()

    def to_json(self) -> str:
        return json.dumps({"tmpfs": dict(self.tmpfs), "rlimits": self.rlimits})


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """retries: of on-failure; 0 for no end."""

    name: str = "no"
    retries: int = 0

    def wants(self, exit_code: int, restarts: int) -> bool:
        """After an end that nobody asked for."""
        if self.name == "on-failure":
            return exit_code != 0 and (not self.retries or restarts < self.retries)
        return self.name != "no"

    def __str__(self) -> str:
        return f"{self.name}:{self.retries}" if self.retries else self.name


def is_own(config: Any) -> bool:
    """Made by ``run`` or ``create``, not by a kubelet."""
    return STANDALONE in config.labels


def extras(config: Any) -> Extras:
    """Of a ContainerConfig. Raises Invalid."""
    text = config.annotations.get(EXTRAS)
    if not text or not is_own(config):
        return Extras()
    try:
        document = json.loads(text)
        rlimits = tuple((str(name), int(soft), int(hard)) for name, soft, hard in document.get("rlimits", ()))
        return Extras(tmpfs={str(k): str(v) for k, v in document.get("tmpfs", {}).items()}, rlimits=rlimits)
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid(f"config.annotations: {EXTRAS}: {error}") from None


def tmpfs_mounts(config: Any) -> tuple[Mount, ...]:
    return tuple(
        Mount(target=target, kind="tmpfs", options=options) for target, options in extras(config).tmpfs.items()
    )


def rlimits(config: Any) -> tuple[Rlimit, ...]:
    return tuple(Rlimit(name=name, soft=soft, hard=hard) for name, soft, hard in extras(config).rlimits)


def volumes(config: Any) -> tuple[str, ...]:
    """Names of the volumes that a ContainerConfig uses."""
    text = config.annotations.get(VOLUMES, "") if is_own(config) else ""
    return tuple(filter(None, text.split(",")))


def restart_policy(text: str) -> RestartPolicy:
    """``no``, ``always``, ``unless-stopped``, ``on-failure`` or ``on-failure:3``. Raises Invalid."""
    name, colon, retries = (text or "no").partition(":")
    if name not in POLICIES:
        raise Invalid(f"restart policy {text!r}: write no, always, unless-stopped, on-failure or on-failure:3")
    if colon and (name != "on-failure" or not retries.isdecimal() or int(retries) >= MAX_RETRIES):
        raise Invalid(f"restart policy {text!r}: only on-failure takes a number of retries, as in on-failure:3")
    return RestartPolicy(name=name, retries=int(retries or 0))


def policy_of(config: Any) -> RestartPolicy:
    """Of a ContainerConfig; one that is damaged is none."""
    try:
        return restart_policy(config.annotations.get(RESTART, "no") if is_own(config) else "no")
    except Invalid:
        return RestartPolicy()


def restarts(config: Any) -> int:
    text = config.annotations.get(RESTARTS, "0")
    return int(text) if text.isdecimal() else 0

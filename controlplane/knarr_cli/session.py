"""The connection a command uses, and how users name objects."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_client import kubeconfig
from knarr_client.calls import CallSettings
from knarr_client.grpc import GrpcClient
from knarr_client.kubeconfig import Access

R = TypeVar("R")
UNLIMITED_S = 86400.0
"""For --request-timeout=0."""
ALL = (
    *("pods", "replicationcontrollers", "services", "daemonsets", "deployments", "replicasets", "statefulsets"),
    *("horizontalpodautoscalers", "cronjobs", "jobs"),
)
"""What ``all`` stands for: what runs, as with kubectl."""


class Session:
    """What the global options say."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._access: Access | None = None
        self._timeout_s = seconds(options.get("request_timeout") or "30s") or UNLIMITED_S
        self.watch_limit_s = seconds(options.get("request_timeout") or "0") or None
        """How long a watch may go on, where that was said."""

    @property
    def kubeconfig(self) -> Path:
        """The file in use. Raises NotFound."""
        return kubeconfig.find(self._options.get("kubeconfig") or "")

    @property
    def access(self) -> Access:
        """Raises NotFound, Invalid."""
        if self._access is None:
            self._access = kubeconfig.load(self.kubeconfig, context=self._options.get("context") or "")
        return self._access

    def namespace(self, given: str) -> str:
        return self.asked(given) or self.access.namespace or "default"

    def asked(self, given: str) -> str:
        """The namespace that the user named, before or after the verb; else empty."""
        return given or str(self._options.get("namespace") or "")

    def connect(self) -> GrpcClient:
        return GrpcClient.connect(self.access, settings=CallSettings(deadline_s=self._timeout_s))

    def run(self, work: Callable[[GrpcClient], Coroutine[Any, Any, R]]) -> R:
        """Do asynchronous work with a client."""

        async def connected() -> R:
            async with self.connect() as client:
                return await work(client)

        return asyncio.run(connected())


def session(ctx: click.Context) -> Session:
    """What the command line says so far; also while it is being completed, when nothing has run yet."""
    return Session({**ctx.find_root().params, **(ctx.find_root().obj or {})})


def seconds(text: str) -> float:
    """``90``, ``10s``, ``0.5s``, ``250ms``, ``1h30m``. Raises Invalid."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", text)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Invalid(f'duration "{text}": must be like 10s, 5m or 1h30m')
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit] for number, unit in parts)


def warn(messages: Iterable[str]) -> None:
    """Warnings of the API, as kubectl prints them."""
    for message in messages:
        sys.stderr.write(f"Warning: {message}\n")


def targets(arguments: tuple[str, ...]) -> list[tuple[Kind, str]]:
    """``pod web``, ``pod/web deploy/x``, ``pods,deployments``, ``pod,service web``: kinds and names.

    The name is empty for all of a kind.

    Raises NotFound for an unknown kind, Invalid for a mixture.
    """
    if not any(arguments[:1]):
        raise Invalid("You must specify the type of resource, for example: knarr get pods")
    if any("/" in argument for argument in arguments):
        pairs = [argument.partition("/")[::2] for argument in arguments]
        empty = next((argument for argument in arguments if argument.endswith("/")), "")
        if empty:
            raise Invalid(f'"{empty}" has no name after the slash: use KIND/NAME')
        if not all(kind and name for kind, name in pairs):
            raise Invalid(
                "there is no need to specify a resource type as a separate argument: use KIND/NAME throughout"
            )
        return [(kinds.lookup(kind), name) for kind, name in pairs]
    if not all(arguments):
        raise Invalid("resource name may not be empty")
    words = [word for word in arguments[0].split(",") if word]
    found = [kinds.lookup(name) for word in words for name in (ALL if word == "all" else (word,))]
    return [(kind, name) for kind in dict.fromkeys(found) for name in arguments[1:] or ("",)]


def one_target(arguments: tuple[str, ...]) -> tuple[Kind, str]:
    """``pod web`` or ``pod/web``. Raises Invalid for none and for several, else as ``targets``."""
    found = targets(arguments)
    if len(found) != 1 or not found[0][1]:
        raise Invalid("name one object: KIND NAME or KIND/NAME")
    return found[0]


def chosen_one_way(wanted: Iterable[tuple[Kind, str]], *, by_label: bool, all_namespaces: bool) -> None:
    """Raises Invalid where objects are named and chosen by labels or in all namespaces as well."""
    named = [kind for kind, name in wanted if name]
    if named and by_label:
        raise Invalid("name cannot be provided when a selector is specified")
    if all_namespaces and any(kind.namespaced for kind in named):
        raise Invalid("a resource cannot be retrieved by name across all namespaces")


def shown(kind: Kind, name: str) -> str:
    """``deployment.apps/web``."""
    singular = kind.singular
    return f"{singular}.{kind.group}/{name}" if kind.group else f"{singular}/{name}"

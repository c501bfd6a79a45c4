"""Which objects a command is about: named one by one, or chosen by label."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_cli.session import Session, targets
from knarr_cli.tables import at
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One object. namespace is empty for kinds of the cluster."""

    kind: Kind
    name: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the command line says of it. resources: ``KIND NAME…`` or ``KIND/NAME…``."""

    resources: tuple[str, ...]
    namespace: str = ""
    selector: str = ""
    everything: bool = False
    all_namespaces: bool = False

    async def targets(self, client: GrpcClient, own: Session) -> list[Target]:
        """Raises Invalid where names and labels are mixed, or neither is given."""
        wanted = targets(self.resources)
        by_label = bool(self.selector) or self.everything
        if by_label and any(name for _, name in wanted):
            raise Invalid("name the objects, or choose them with -l or --all, not both")
        if not by_label and not all(name for _, name in wanted):
            raise Invalid("name the object: KIND NAME or KIND/NAME")
        space = own.namespace(self.namespace)
        found: list[Target] = []
        for kind, name in wanted:
            inner = space if kind.namespaced else ""
            if name:
                found.append(Target(kind=kind, name=name, namespace=inner))
                continue
            page = await client.raw.list(kind, "" if self.all_namespaces else inner, label_selector=self.selector)
            found += [_target(kind, item) for item in page.items]
        if not found:
            sys.stderr.write("No resources found\n")
        return found


def _target(kind: Kind, item: Document) -> Target:
    namespace = at(item, "metadata.namespace") if kind.namespaced else ""
    return Target(kind=kind, name=at(item, "metadata.name"), namespace=namespace)

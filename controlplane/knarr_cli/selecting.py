"""Which objects a command is about: named one by one, or chosen by label."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import click

from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_cli import completing, manifests
from knarr_cli.cells import at
from knarr_cli.manifests import Refused
from knarr_cli.options import (
    Option,
    all_namespaces_option,
    everything_option,
    field_selector_option,
    files_option,
    gathered,
    namespace_option,
    recursive_option,
    selector_option,
)
from knarr_cli.session import Session, chosen_one_way, targets
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
    """What the command line says. resources: ``KIND NAME…`` or ``KIND/NAME…``. files: manifests that name them."""

    resources: tuple[str, ...] = ()
    namespace: str = ""
    selector: str = ""
    everything: bool = False
    all_namespaces: bool = False
    files: tuple[str, ...] = ()
    recursive: bool = False
    field_selector: str = ""

    def of(self, resources: tuple[str, ...]) -> Choice:
        """The same of these resources."""
        return replace(self, resources=resources)

    async def targets(self, client: GrpcClient, own: Session) -> list[Target]:
        """Raises Invalid where names and labels are mixed, or neither is given."""
        if self.files:
            if self.resources:
                raise Invalid("when files are provided as arguments, names are not allowed: give -f or KIND NAME")
            return self._named_by_files(own)
        wanted = targets(self.resources)
        by_label = bool(self.selector or self.field_selector) or self.everything
        if by_label and any(name for _, name in wanted):
            raise Invalid("name the objects, or choose them with -l or --all, not both")
        chosen_one_way(wanted, by_label=by_label, all_namespaces=self.all_namespaces)
        if not by_label and not all(name for _, name in wanted):
            raise Invalid("name the object: KIND NAME or KIND/NAME")
        space = own.namespace(self.namespace)
        found: list[Target] = []
        for kind, name in wanted:
            inner = space if kind.namespaced else ""
            if name:
                found.append(Target(kind=kind, name=name, namespace=inner))
                continue
            page = await client.raw.list(
                kind,
                "" if self.all_namespaces else inner,
                label_selector=self.selector,
                field_selector=self.field_selector,
            )
            found += [_target(kind, item) for item in page.items]
        if not found:
            sys.stderr.write("No resources found\n")
        return found

    def _named_by_files(self, own: Session) -> list[Target]:
        try:
            found = manifests.read(self.files, recursive=self.recursive, strict=False)
        except Refused as refused:
            raise Invalid(str(refused)) from refused
        space = own.namespace(self.namespace)
        return [
            Target(kind=each.kind, name=each.name, namespace=(each.namespace or space) if each.kind.namespaced else "")
            for each in found
        ]


OPTIONS = {
    "files": files_option,
    "recursive": recursive_option,
    "namespace": namespace_option,
    "all_namespaces": all_namespaces_option,
    "selector": selector_option,
    "field_selector": field_selector_option,
    "everything": everything_option,
}


def choice_options(*fields: str) -> Option:
    """The options for these fields of a Choice, as one argument ``choice``."""
    return gathered("choice", Choice, {field: option for field, option in OPTIONS.items() if field in fields})


def resources_argument(
    metavar: str = "KIND NAME | KIND/NAME", *, name: str = "resources", required: bool = False
) -> Option:
    """The words that name objects, completed by the shell."""
    return click.argument(name, nargs=-1, required=required, metavar=metavar, shell_complete=completing.resources)


def _target(kind: Kind, item: Document) -> Target:
    namespace = at(item, "metadata.namespace") if kind.namespaced else ""
    return Target(kind=kind, name=at(item, "metadata.name"), namespace=namespace)

"""Changes of the pods that an object makes: images, variables and resources of its containers. Pure.

Every change is a strategic merge patch, so that what others set in the same containers stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_cli.cells import at

Document = Mapping[str, Any]
Container = Mapping[str, Any]
Make = Callable[[Container], dict[str, Any]]
"""What changes of one container; nothing where it is to stay."""
LISTS = ("containers", "initContainers")
PATHS = {
    "Pod": "spec",
    "CronJob": "spec.jobTemplate.spec.template.spec",
    **dict.fromkeys(
        ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"), "spec.template.spec"
    ),
}


def path_of(kind: Kind) -> str:
    """Where the pods' spec is. Raises Invalid for kinds that make none."""
    if kind.kind not in PATHS:
        raise Invalid(f"{kind.qualified} have no containers: only {', '.join(sorted(PATHS))} have")
    return PATHS[kind.kind]


def patch(kind: Kind, document: Document, chosen: Callable[[str], bool], make: Make) -> dict[str, Any]:
    """The patch for all chosen containers; empty where nothing changes."""
    path = path_of(kind)
    changed: dict[str, Any] = {}
    for name in LISTS:
        items = []
        for container in at(document, f"{path}.{name}", []):
            change = make(container) if chosen(container["name"]) else {}
            if change:
                items.append({"name": container["name"], **change})
        if items:
            changed[name] = items
    result: dict[str, Any] = changed
    for part in reversed(path.split(".") if changed else []):
        result = {part: result}
    return result


def names(kind: Kind, document: Document) -> list[str]:
    """Of all containers."""
    return [container["name"] for name in LISTS for container in at(document, f"{path_of(kind)}.{name}", [])]


def matching(pattern: str, kind: Kind, document: Document) -> Callable[[str], bool]:
    """Containers by name or with ``*``. Raises Invalid where there is none."""
    if not any(fnmatchcase(name, pattern) for name in names(kind, document)):
        raise Invalid(f'unable to find container named "{pattern}"')
    return lambda name: fnmatchcase(name, pattern)


# Images


def images(kind: Kind, document: Document, wanted: Mapping[str, str]) -> dict[str, Any]:
    """wanted: images by the name of their container; ``*`` is every container."""
    for name in wanted:
        if name != "*":
            matching(name, kind, document)

    def make(container: Container) -> dict[str, Any]:
        image = wanted.get(container["name"], wanted.get("*"))
        return {"image": image} if image is not None and image != container.get("image") else {}

    return patch(kind, document, lambda _: True, make)


# Accounts


def account(kind: Kind, document: Document, name: str) -> dict[str, Any]:
    """The patch that makes pods run as the account; empty where they do."""
    path = path_of(kind)
    if at(document, f"{path}.serviceAccountName") == name:
        return {}
    result: dict[str, Any] = {"serviceAccountName": name, "serviceAccount": name}
    for part in reversed(path.split(".")):
        result = {part: result}
    return result


# Variables


def variables(words: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """``KEY=VALUE`` sets, ``KEY-`` removes. Raises Invalid."""
    given: dict[str, str] = {}
    removed: list[str] = []
    for word in words:
        name, equal, value = word.partition("=")
        if equal and name:
            given[name] = value
        elif word.endswith("-") and len(word) > 1:
            removed.append(word[:-1])
        else:
            raise Invalid(f"environment variables must be of the form KEY=VALUE or KEY-: {word}")
    both = sorted(set(given) & set(removed))
    if both:
        raise Invalid(
            f"can not both modify and remove the following variable(s) in the same command: {', '.join(both)}"
        )
    return given, tuple(removed)


def environment(
    kind: Kind,
    document: Document,
    chosen: Callable[[str], bool],
    entries: Sequence[Mapping[str, Any]],
    removed: Iterable[str],
    *,
    overwrite: bool = True,
) -> dict[str, Any]:
    """entries: as in a container's ``env``. Raises Invalid for one that is there where overwrite is off."""

    def make(container: Container) -> dict[str, Any]:
        present = {entry["name"]: entry for entry in container.get("env") or []}
        items: list[dict[str, Any]] = []
        for entry in entries:
            before = present.get(entry["name"])
            if before == entry:
                continue
            if before is not None and not overwrite:
                raise Invalid(
                    f"'{entry['name']}' already has a value ({before.get('value')}), and --overwrite is false"
                )
            items.append({"value": None, "valueFrom": None, **entry})
        items += [{"name": name, "$patch": "delete"} for name in removed if name in present]
        return {"env": items} if items else {}

    return patch(kind, document, chosen, make)


def from_keys(kind: str, name: str, keys: Iterable[str], prefix: str) -> list[dict[str, Any]]:
    """Entries that take their values from a ConfigMap or Secret: ``a.b-c`` becomes ``A_B_C``."""
    field = "configMapKeyRef" if kind == "ConfigMap" else "secretKeyRef"
    return [
        {
            "name": prefix + key.upper().replace("-", "_").replace(".", "_"),
            "valueFrom": {field: {"name": name, "key": key}},
        }
        for key in keys
    ]


# Resources


def quantities(text: str, option: str) -> dict[str, str]:
    """``cpu=100m,memory=64Mi``. Raises Invalid."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equal, value = part.partition("=")
        if not name or not equal or not value:
            raise Invalid(f'invalid argument syntax in {option} "{part}": expected NAME=QUANTITY')
        if name in found:
            raise Invalid(f"{option}: {name} is there twice")
        found[name] = value
    return found


def resources(
    kind: Kind,
    document: Document,
    chosen: Callable[[str], bool],
    limits: Mapping[str, str],
    requests: Mapping[str, str],
) -> dict[str, Any]:
    """Limits and requests that are named; others stay."""

    def make(container: Container) -> dict[str, Any]:
        present = container.get("resources") or {}
        changed = {
            field: dict(wanted)
            for field, wanted in (("limits", limits), ("requests", requests))
            if any((present.get(field) or {}).get(name) != value for name, value in wanted.items())
        }
        return {"resources": changed} if changed else {}

    return patch(kind, document, chosen, make)

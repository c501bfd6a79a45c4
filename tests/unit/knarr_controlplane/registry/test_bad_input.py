"""Whatever is sent ends as one of our errors, or is stored and can be read again."""

from __future__ import annotations

import copy
import datetime
import random
from pathlib import Path

import msgspec
import pytest
import yaml

from knarr_api import errors, json, kinds, validation
from knarr_client.client import PatchType
from knarr_controlplane.registry import applying
from knarr_controlplane.registry.managed_fields import Writer

MANIFESTS = Path(__file__).parents[4] / "tests/conformance/manifests"
ROUNDS = 700
replace = msgspec.structs.replace
JUNK = (
    *(None, "", 0, -1, 1.5, True, [], {}, "x" * 300, "a b", "☃", "\x00", [None], {"a": None}, [1, 2], {"": ""}),
    *(2**70, -(2**63), "1Gi", "-5", "%", "50%", "..", "/", ["a", "a"], [[]], {"name": "x"}, [{"name": "x"}] * 2),
)


def manifests(*, only_acting=True):
    found = []
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for document in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            try:
                kind = kinds.by_kind(document["apiVersion"], document["kind"])
            except errors.NotFound:
                continue
            if kind.acting or not only_acting:
                found.append((kind, document))
    return found


def damaged(document, chance):
    """With one to three places changed to something else."""
    document = copy.deepcopy(document)
    for _ in range(chance.randrange(1, 4)):
        node = document
        while isinstance(node, dict | list) and node:
            place = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            inner = node[place]
            if chance.random() < 0.3 or not isinstance(inner, dict | list) or not inner:
                node[place] = copy.deepcopy(chance.choice(JUNK))
                break
            node = inner
    return document


def operations(document, chance):
    """A JSON patch that sets places of the document to something else."""
    made = []
    for _ in range(chance.randrange(1, 4)):
        node, path = document, ""
        while isinstance(node, dict | list) and node and (not path or chance.random() < 0.7):
            place = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
            node, path = node[place], f"{path}/{str(place).replace('~', '~0').replace('/', '~1')}"
        op = chance.choice(("add", "remove", "replace", "move", "copy", "test"))
        made.append({"op": op, "path": path, "from": path, "value": copy.deepcopy(chance.choice(JUNK))})
    return made


def strategic(document, chance):
    """With directives somewhere."""
    document = damaged(document, chance)
    node = document
    while isinstance(node, dict | list) and node:
        if isinstance(node, dict) and chance.random() < 0.4:
            name = chance.choice(list(node))
            directive = ("$patch", "$retainKeys", f"$setElementOrder/{name}", f"$deleteFromPrimitiveList/{name}")
            value = (*JUNK, "replace", "delete", "merge", node[name])
            node[chance.choice(directive)] = copy.deepcopy(chance.choice(value))
            break
        node = node[chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))]
    return document


async def send(registry, kind, document, name, chance):
    namespace = "default" if kind.namespaced else ""
    writer = Writer(manager=chance.choice(("alice", "bob")), quiet=chance.random() < 0.3)
    match chance.randrange(7):
        case 4:
            manager = chance.choice(("alice", "bob", "knarr", ""))
            subresource = chance.choice(("", "", "status"))
            force = chance.random() < 0.5
            return (
                await applying.apply_fields(
                    registry, kind, namespace, name, document, manager=manager, force=force, subresource=subresource
                )
            )[0]
        case 5:
            patch = operations(document, chance)
            return await registry.patch(kind, namespace, name, patch, type_=PatchType.JSON, writer=writer)
        case 6:
            patch = strategic(document, chance)
            return await registry.patch(kind, namespace, name, patch, type_=PatchType.STRATEGIC, writer=writer)
        case 0:
            obj = json.decode_strict(document, kind.type)
            validation.warnings(obj)
            placed = replace(obj, metadata=replace(obj.metadata, namespace=namespace))
            return await registry.create(placed, writer=writer)
        case 1:
            if isinstance(document.get("metadata"), dict):
                document["metadata"].pop("namespace", None)
            return (await registry.apply(kind, namespace, document, writer=writer))[0]
        case 2:
            patch = {field: value for field, value in document.items() if field not in ("apiVersion", "kind")}
            subresource = chance.choice(("", "status"))
            return await registry.patch(kind, namespace, name, patch, subresource=subresource, writer=writer)
    return await registry.delete(kind, namespace, name)


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_breaks_the_registry(registry, seed):
    chance = random.Random(seed)
    present = manifests()
    outcomes = set()
    for _ in range(ROUNDS):
        kind, document = chance.choice(present)
        try:
            entry = await send(registry, kind, damaged(document, chance), document["metadata"].get("name", "x"), chance)
            assert json.decode(entry.json, kind.type) == entry.value()
            outcomes.add("stored")
        except errors.KnarrError as error:
            assert not isinstance(error, errors.Internal), error
            outcomes.add(type(error).__name__)
    assert outcomes >= {"stored", "Invalid", "NotFound"}


async def test_what_is_stored_can_be_stored_again(registry):
    """Defaults and admission leave alone what they have made."""
    for kind, document in manifests():
        namespace = "default" if kind.namespaced else ""
        obj = json.decode_strict(document, kind.type)
        obj = replace(obj, metadata=replace(obj.metadata, namespace=namespace, resource_version=""))
        try:
            entry = await registry.create(obj)
        # A priority needs its class, and some versions are not served.
        except (errors.Invalid, errors.AlreadyExists, errors.Forbidden, errors.Unimplemented):
            continue
        assert (await registry.update(entry.value())).revision == entry.revision


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize("type_", [PatchType.JSON, PatchType.MERGE, PatchType.STRATEGIC])
@pytest.mark.parametrize("levels", [60, 240, 5000])
async def test_what_is_nested_too_deep_is_refused(registry, type_, levels):
    kind = kinds.by_kind("v1", "ConfigMap")
    await registry.create(json.decode_strict(CONFIG, kind.type))
    patch = {"data": deep(levels)}
    if type_ is PatchType.JSON:
        patch = [{"op": "add", "path": "/data", "value": patch["data"]}]
    with pytest.raises(errors.Invalid):
        await registry.patch(kind, "default", "c", patch, type_=type_)


@pytest.mark.parametrize("levels", [60, 240, 5000])
async def test_what_is_applied_and_nested_too_deep_is_refused(registry, levels):
    kind = kinds.by_kind("v1", "ConfigMap")
    document = {**CONFIG, "data": deep(levels)}
    with pytest.raises(errors.Invalid):
        await applying.apply_fields(registry, kind, "default", "c", document, manager="alice")


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}}


async def test_what_is_applied_twice_is_applied_once(registry, time):
    """Whatever the manifest: defaults, other notations and write-only fields are no change."""
    seen = 0
    for kind, document in manifests(only_acting=False):
        namespace = "default" if kind.namespaced else ""
        document = {**document, "metadata": {**document["metadata"], **({"namespace": namespace} if namespace else {})}}
        name = document["metadata"].get("name", "")
        try:
            await applying.apply_fields(registry, kind, namespace, name, document, manager="alice")
        except (errors.Invalid, errors.Forbidden, errors.Unimplemented):
            continue
        time.now += datetime.timedelta(minutes=1)
        _, outcome = await applying.apply_fields(registry, kind, namespace, name, document, manager="alice")
        assert outcome == "unchanged", document
        _, outcome = await applying.apply_fields(registry, kind, namespace, name, document, manager="bob")
        assert outcome == "configured", "bob owns it as well now, without a conflict"
        seen += 1
    assert seen > 20

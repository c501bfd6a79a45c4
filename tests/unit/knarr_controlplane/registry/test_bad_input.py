"""Whatever is sent ends as one of our errors, or is stored and can be read again."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import msgspec
import pytest
import yaml

from knarr_api import errors, json, kinds, validation

MANIFESTS = Path(__file__).parents[4] / "tests/conformance/manifests"
ROUNDS = 700
replace = msgspec.structs.replace
JUNK = (
    *(None, "", 0, -1, 1.5, True, [], {}, "x" * 300, "a b", "☃", "\x00", [None], {"a": None}, [1, 2], {"": ""}),
    *(2**70, -(2**63), "1Gi", "-5", "%", "50%", "..", "/", ["a", "a"], [[]], {"name": "x"}, [{"name": "x"}] * 2),
)


def manifests():
    found = []
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for document in yaml.load_all(path.read_text(), yaml.CSafeLoader):
            try:
                kind = kinds.by_kind(document["apiVersion"], document["kind"])
            except errors.NotFound:
                continue
            if kind.acting:
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


async def send(registry, kind, document, name, chance):
    namespace = "default" if kind.namespaced else ""
    match chance.randrange(4):
        case 0:
            obj = json.decode_strict(document, kind.type)
            validation.warnings(obj)
            return await registry.create(replace(obj, metadata=replace(obj.metadata, namespace=namespace)))
        case 1:
            if isinstance(document.get("metadata"), dict):
                document["metadata"].pop("namespace", None)
            return (await registry.apply(kind, namespace, document))[0]
        case 2:
            patch = {field: value for field, value in document.items() if field not in ("apiVersion", "kind")}
            subresource = chance.choice(("", "status"))
            return await registry.patch(kind, namespace, name, patch, subresource=subresource)
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
        except (errors.Invalid, errors.AlreadyExists, errors.Forbidden):  # a priority needs its class
            continue
        assert (await registry.update(entry.value())).revision == entry.revision

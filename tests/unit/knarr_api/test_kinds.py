"""The table of kinds."""

from __future__ import annotations

import pytest

from knarr_api import json, kinds
from knarr_api.errors import NotFound
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import Node, Pod


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: f"{kind.kind}.{kind.api_version}")
def test_every_kind_has_its_types(kind: kinds.Kind) -> None:
    assert kinds.of(kind.type) is kind
    assert kinds.by_kind(kind.api_version, kind.kind) is kind
    assert json.to_builtins(kind.type()) == {"apiVersion": kind.api_version, "kind": kind.kind}
    assert json.to_builtins(kind.list_type()) == {"apiVersion": kind.api_version, "kind": kind.list_kind}
    assert kinds.lookup(f"{kind.resource}.{kind.version}.{kind.group}".rstrip(".")) is kind


@pytest.mark.parametrize(
    "name", ["deploy", "deployment", "deployments", "Deployment", "deployments.apps", "deployments.v1.apps", "DEPLOY"]
)
def test_lookup_by_any_name(name: str) -> None:
    assert kinds.lookup(name) is kinds.of(Deployment)


def test_the_core_group_and_the_newest_version_count_first() -> None:
    assert kinds.lookup("events").group == ""
    assert kinds.lookup("events.events.k8s.io").group == "events.k8s.io"
    assert kinds.lookup("hpa").version == "v2"
    assert kinds.lookup("hpa.v1.autoscaling").version == "v1"


def test_keys() -> None:
    assert kinds.of(Deployment).key("default", "web") == "/registry/apps/deployments/default/web"
    assert kinds.of(Node).key("", "n1") == "/registry/core/nodes/n1"
    assert kinds.of(Pod()).key_prefix == "/registry/core/pods/"


def test_unknown_kinds_are_refused_with_the_nearest() -> None:
    with pytest.raises(
        NotFound, match=r'no matches for kind "Deploymnt" in version "apps/v1": did you mean Deployment'
    ):
        kinds.by_kind("apps/v1", "Deploymnt")
    with pytest.raises(NotFound, match=r"Deployment is in apps/v1"):
        kinds.by_kind("extensions/v1beta1", "Deployment")
    with pytest.raises(NotFound, match=r'resource type "deployed": did you mean deploy'):
        kinds.lookup("deployed")
    with pytest.raises(NotFound):
        kinds.of(str)


def test_no_name_means_two_resources_of_a_group() -> None:
    for kind in kinds.KINDS:
        for name in (kind.resource, kind.singular, *kind.short_names):
            same = [
                k for k in kinds.KINDS if k.group == kind.group and name in (k.resource, k.singular, *k.short_names)
            ]
            assert {k.kind for k in same} == {kind.kind}

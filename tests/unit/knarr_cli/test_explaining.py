"""What ``explain`` says of fields is said of fields that there are."""

from __future__ import annotations

import msgspec
import pytest

from knarr_api.errors import Invalid, NotFound
from knarr_api.types import apps_v1, batch_v1, core_v1, meta_v1, policy_v1
from knarr_cli.explaining import explain
from knarr_cli.meanings import MEANINGS

MODULES = (core_v1, apps_v1, batch_v1, meta_v1, policy_v1)


@pytest.mark.parametrize("name", MEANINGS)
def test_what_is_explained_is_there(name: str) -> None:
    (type_,) = {getattr(module, name) for module in MODULES if hasattr(module, name)}
    assert set(MEANINGS[name]) <= {field.encode_name for field in msgspec.structs.fields(type_)}


def test_a_field_is_described_where_its_name_is_not_enough() -> None:
    lines = explain("pod.spec.containers.image")
    assert lines[lines.index("DESCRIPTION:") + 1] == "    What is run: REGISTRY/NAME:TAG or @DIGEST."
    listed = explain("deployment.spec")
    assert listed[listed.index("  paused\t<boolean>") + 1] == "    Changes of the template wait."
    assert "DESCRIPTION:" not in explain("pod.status.conditions.status"), "not what every kind's status is"
    assert not any("template wait" in line for line in explain("deployment.spec", recursive=True))


def test_a_kind_may_be_named_with_its_group() -> None:
    assert explain("jobs.batch") == explain("jobs")
    assert explain("deployments.v1.apps.spec.paused") == explain("deployment.spec.paused")
    assert explain("leases.coordination.k8s.io.spec") == explain("lease.spec")
    with pytest.raises(Invalid, match='field "nope" does not exist'):
        explain("jobs.nope")
    with pytest.raises(NotFound, match='resource type "nope"'):
        explain("nope.batch.spec")

"""Variables, references and expansion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import NotFound
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    ConfigMap,
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    Pod,
    ResourceFieldSelector,
    ResourceRequirements,
    Secret,
    SecretKeySelector,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.environment import Sources, environment, expand

MakePod = Callable[..., Pod]
SOURCES = Sources(
    config_maps={"c": ConfigMap(metadata=ObjectMeta(name="c"), data={"A": "1", "B": "2"})},
    secrets={"s": Secret(metadata=ObjectMeta(name="s"), data={"P": b"hush"})},
    host_ip="192.0.2.1",
    pod_ip="10.0.0.2",
    allocatable={"cpu": Quantity("4"), "memory": Quantity("8Gi")},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)$(B)y", "x12y"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$A ${A}", "$A ${A}"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("$(A$(B)", "$(A$(B)"),
        ("", ""),
    ],
)
def test_expansion_follows_kubernetes(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@given(st.text(alphabet="ab$()"))
def test_expansion_of_nothing_known_only_halves_dollars(text: str) -> None:
    assert expand(text, {}).replace("$", "") == text.replace("$", "")


def test_later_variables_see_earlier_ones_and_win_over_env_from(a_pod: MakePod) -> None:
    container = Container(
        name="main",
        env_from=(EnvFromSource(prefix="X_", config_map_ref=ConfigMapEnvSource(name="c")),),
        env=(
            EnvVar(name="X_A", value="own"),
            EnvVar(name="BOTH", value="$(X_A)-$(X_B)-$(LATER)"),
            EnvVar(name="LATER", value="z"),
        ),
    )
    assert environment(a_pod(container), container, SOURCES) == {
        "X_A": "own",
        "X_B": "2",
        "BOTH": "own-2-$(LATER)",
        "LATER": "z",
    }


def test_references_to_keys_fields_and_resources(a_pod: MakePod) -> None:
    def variable(name: str, **source: object) -> EnvVar:
        return EnvVar(name=name, value_from=EnvVarSource(**source))  # type: ignore[arg-type]

    def amount(name: str, resource: str, divisor: str = "1") -> EnvVar:
        return variable(name, resource_field_ref=ResourceFieldSelector(resource=resource, divisor=Quantity(divisor)))

    container = Container(
        name="main",
        resources=ResourceRequirements(limits={"memory": Quantity("64Mi")}, requests={"cpu": Quantity("1500m")}),
        env=(
            variable("KEY", config_map_key_ref=ConfigMapKeySelector(name="c", key="A")),
            variable("SECRET", secret_key_ref=SecretKeySelector(name="s", key="P")),
            variable("NONE", config_map_key_ref=ConfigMapKeySelector(name="x", key="A", optional=True)),
            variable("NAME", field_ref=ObjectFieldSelector(field_path="metadata.name")),
            variable("APP", field_ref=ObjectFieldSelector(field_path="metadata.labels['app']")),
            variable("IP", field_ref=ObjectFieldSelector(field_path="status.podIP")),
            amount("CPU", "requests.cpu"),
            variable(
                "CPU_M", resource_field_ref=ResourceFieldSelector(resource="requests.cpu", divisor=Quantity("1m"))
            ),
            amount("CPU_MAX", "limits.cpu"),
            variable(
                "MEM", resource_field_ref=ResourceFieldSelector(resource="limits.memory", divisor=Quantity("1Mi"))
            ),
        ),
    )
    assert environment(a_pod(container), container, SOURCES) == {
        "KEY": "1",
        "SECRET": "hush",
        "NAME": "web",
        "APP": "web",
        "IP": "10.0.0.2",
        "CPU": "2",
        "CPU_M": "1500",
        "CPU_MAX": "4",
        "MEM": "64",
    }


@pytest.mark.parametrize(
    "reference",
    [ConfigMapKeySelector(name="c", key="missing"), ConfigMapKeySelector(name="missing", key="A")],
)
def test_what_is_missing_is_named(a_pod: MakePod, reference: ConfigMapKeySelector) -> None:
    container = Container(name="main", env=(EnvVar(name="V", value_from=EnvVarSource(config_map_key_ref=reference)),))
    with pytest.raises(NotFound, match="missing"):
        environment(a_pod(container), container, SOURCES)

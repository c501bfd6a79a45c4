"""What a namespace lacks."""

from __future__ import annotations

from dataclasses import dataclass

from knarr_api.types.core_v1 import ConfigMap, Namespace, ServiceAccount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.registry.accounts import DEFAULT, ROOT_CA

CA_KEY = "ca.crt"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """ca_pem: empty where it is not to be published."""

    namespace: Namespace
    account: ServiceAccount | None
    root_ca: ConfigMap | None
    ca_pem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    create: tuple[ServiceAccount | ConfigMap, ...] = ()
    update: ConfigMap | None = None


def decide(world: World) -> Plan:
    metadata = world.namespace.metadata
    if metadata.deletion_timestamp is not None:
        return Plan()
    create: list[ServiceAccount | ConfigMap] = []
    if world.account is None:
        create.append(ServiceAccount(metadata=ObjectMeta(name=DEFAULT, namespace=metadata.name)))
    wanted = {CA_KEY: world.ca_pem}
    if not world.ca_pem:
        return Plan(create=tuple(create))
    if world.root_ca is None:
        create.append(ConfigMap(metadata=ObjectMeta(name=ROOT_CA, namespace=metadata.name), data=wanted))
    elif world.root_ca.data != wanted:
        fixed = ConfigMap(metadata=world.root_ca.metadata, data=wanted)
        return Plan(create=tuple(create), update=fixed)
    return Plan(create=tuple(create))

"""A new pod's ServiceAccount, and the volume with its token. Pure.

Source: Kubernetes "Configure Service Accounts for Pods" and "Managing Service Accounts", admission.
"""

from __future__ import annotations

import msgspec

from knarr_api.errors import Forbidden
from knarr_api.types.core_v1 import (
    ConfigMapProjection,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    ObjectFieldSelector,
    Pod,
    ProjectedVolumeSource,
    ServiceAccount,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from knarr_api.types.meta_v1 import ObjectMeta

replace = msgspec.structs.replace

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
ROOT_CA = "kube-root-ca.crt"
"""ConfigMap of each namespace with the cluster's CA."""
EXPIRATION_S = 3607
MODE = 0o644


def default(namespace: str) -> ServiceAccount:
    """The one that every namespace has."""
    return ServiceAccount(metadata=ObjectMeta(name=DEFAULT, namespace=namespace))


def named(pod: Pod) -> str:
    """The account the pod runs as."""
    return pod.spec.service_account_name or pod.spec.service_account or DEFAULT


def accounted(pod: Pod, account: ServiceAccount | None, suffix: str) -> Pod:
    """The pod with its account, the account's image pull secrets, and the token's volume in every container.

    account: the one of its name; suffix: of the volume's name. Raises Forbidden where there is none.
    """
    name = named(pod)
    if account is None:
        where = f'error looking up service account {pod.metadata.namespace}/{name}: serviceaccount "{name}" not found'
        raise Forbidden(f'pods "{pod.metadata.name}" is forbidden: {where}')
    spec = replace(pod.spec, service_account_name=name, service_account=name)
    if not spec.image_pull_secrets:
        spec = replace(spec, image_pull_secrets=account.image_pull_secrets)
    wanted = spec.automount_service_account_token
    if wanted is None:
        wanted = account.automount_service_account_token
    containers = (*spec.containers, *spec.init_containers)
    if wanted is False or not any(_lacks(container) for container in containers):
        return replace(pod, spec=spec)
    volume = token_volume(f"{VOLUME_PREFIX}{suffix}")
    mount = VolumeMount(name=volume.name, mount_path=MOUNT_PATH, read_only=True)

    def mounted(given: tuple[Container, ...]) -> tuple[Container, ...]:
        return tuple(
            replace(container, volume_mounts=(*container.volume_mounts, mount)) if _lacks(container) else container
            for container in given
        )

    spec = replace(
        spec,
        volumes=(*spec.volumes, volume),
        containers=mounted(spec.containers),
        init_containers=mounted(spec.init_containers),
    )
    return replace(pod, spec=spec)


def token_volume(name: str) -> Volume:
    """Token, CA and namespace."""
    namespace = DownwardAPIVolumeFile(
        path="namespace", field_ref=ObjectFieldSelector(api_version="v1", field_path="metadata.namespace")
    )
    sources = (
        VolumeProjection(
            service_account_token=ServiceAccountTokenProjection(path="token", expiration_seconds=EXPIRATION_S)
        ),
        VolumeProjection(config_map=ConfigMapProjection(name=ROOT_CA, items=(KeyToPath(key="ca.crt", path="ca.crt"),))),
        VolumeProjection(downward_api=DownwardAPIProjection(items=(namespace,))),
    )
    return Volume(name=name, projected=ProjectedVolumeSource(sources=sources, default_mode=MODE))


def _lacks(container: Container) -> bool:
    return all(mount.mount_path != MOUNT_PATH for mount in container.volume_mounts)

"""Volumes, claims and what provides them. Source: Kubernetes API reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from knarr_api.errors import FieldError
from knarr_api.quantity import Quantity
from knarr_api.types import core_v1, storage_v1
from knarr_api.validation import names, placement
from knarr_api.validation.names import forbidden, invalid, one_of, required

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
MODES = ("Block", "Filesystem")
RECLAIM = ("Delete", "Recycle", "Retain")
BINDING = ("Immediate", "WaitForFirstConsumer")
VOLUME_SOURCES = (
    *("gce_persistent_disk", "aws_elastic_block_store", "host_path", "glusterfs", "nfs", "rbd", "iscsi", "cinder"),
    *("cephfs", "fc", "flocker", "flex_volume", "azure_file", "vsphere_volume", "quobyte", "azure_disk"),
    *("photon_persistent_disk", "portworx_volume", "scale_io", "local", "storageos", "csi"),
)
MAX_PARAMETERS, MAX_PARAMETERS_BYTES = 512, 256 * 1024


def _access_modes(modes: tuple[str, ...]) -> Iterator[FieldError]:
    if not modes:
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in modes:
        yield from one_of("spec.accessModes", mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        text = "may not use ReadWriteOncePod with other access modes"
        yield forbidden("spec.accessModes", text)


def _storage(path: str, amounts: Mapping[str, Quantity]) -> Iterator[FieldError]:
    for resource, quantity in amounts.items():
        if quantity.nanos() <= 0:
            yield invalid(f"{path}[{resource}]", str(quantity), "must be greater than zero")


def volume(obj: core_v1.PersistentVolume) -> Iterator[FieldError]:
    spec = obj.spec
    yield from _access_modes(spec.access_modes)
    if not spec.capacity:
        yield required("spec.capacity")
    elif set(spec.capacity) != {"storage"}:
        yield names.unsupported("spec.capacity", sorted(spec.capacity)[0], ("storage",))
    yield from _storage("spec.capacity", spec.capacity)
    yield from one_of("spec.persistentVolumeReclaimPolicy", spec.persistent_volume_reclaim_policy or "Retain", RECLAIM)
    sources = [name for name in VOLUME_SOURCES if getattr(spec, name) is not None]
    if not sources:
        yield required("spec", "must specify a volume type")
    for name in sources[1:]:
        yield forbidden(f"spec.{names.camel(name)}", "may not specify more than 1 volume type")
    if spec.host_path is not None:
        if not spec.host_path.path:
            yield required("spec.hostPath.path")
        elif ".." in spec.host_path.path.split("/"):
            yield invalid("spec.hostPath.path", spec.host_path.path, "must not contain '..'")
        if spec.host_path.path == "/" and spec.persistent_volume_reclaim_policy == "Recycle":
            text = "may not be 'recycle' for a hostPath mount of '/'"
            yield forbidden("spec.persistentVolumeReclaimPolicy", text)
    if spec.nfs is not None:
        if not spec.nfs.server:
            yield required("spec.nfs.server")
        if not spec.nfs.path:
            yield required("spec.nfs.path")
        elif not spec.nfs.path.startswith("/"):
            yield invalid("spec.nfs.path", spec.nfs.path, "must be an absolute path")
    if spec.local is not None:
        if not spec.local.path:
            yield required("spec.local.path")
        if spec.node_affinity is None:
            yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if spec.csi is not None:
        for field, value in (("driver", spec.csi.driver), ("volumeHandle", spec.csi.volume_handle)):
            if not value:
                yield required(f"spec.csi.{field}")
    if spec.storage_class_name:
        yield from names.dns_subdomain("spec.storageClassName", spec.storage_class_name)
    yield from one_of("spec.volumeMode", spec.volume_mode, MODES, may_be_empty=True)


def claim(obj: core_v1.PersistentVolumeClaim) -> Iterator[FieldError]:
    spec = obj.spec
    yield from _access_modes(spec.access_modes)
    yield from placement.label_selector(spec.selector, "spec.selector")
    requests = spec.resources.requests if spec.resources is not None else {}
    if "storage" not in requests:
        yield required("spec.resources[storage]")
    elif requests["storage"].nanos() <= 0:
        yield invalid("spec.resources[storage]", str(requests["storage"]), "must be greater than zero")
    if spec.storage_class_name:
        yield from names.dns_subdomain("spec.storageClassName", spec.storage_class_name)
    yield from one_of("spec.volumeMode", spec.volume_mode, MODES, may_be_empty=True)
    source = spec.data_source
    if source is not None:
        for field, value in (("name", source.name), ("kind", source.kind)):
            if not value:
                yield required(f"spec.dataSource.{field}")
        if not source.api_group and source.kind and source.kind != "PersistentVolumeClaim":
            yield invalid(
                "spec.dataSource", source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            )


def update_claim(old: core_v1.PersistentVolumeClaim, new: core_v1.PersistentVolumeClaim) -> Iterator[FieldError]:
    def fixed(spec: core_v1.PersistentVolumeClaimSpec) -> tuple[object, ...]:
        return (spec.access_modes, spec.selector, spec.storage_class_name, spec.volume_mode, spec.data_source)

    if fixed(old.spec) != fixed(new.spec) or (old.spec.volume_name and old.spec.volume_name != new.spec.volume_name):
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden("spec", text)


def storage_class(obj: storage_v1.StorageClass) -> Iterator[FieldError]:
    if not obj.provisioner:
        yield required("provisioner")
    else:
        yield from names.qualified_name("provisioner", obj.provisioner.lower())
    yield from _parameters(obj.parameters, allow_empty=True)
    yield from one_of("reclaimPolicy", obj.reclaim_policy, ("Delete", "Retain"), may_be_empty=True)
    yield from one_of("volumeBindingMode", obj.volume_binding_mode or "Immediate", BINDING)
    for number, term in enumerate(obj.allowed_topologies):
        at = f"allowedTopologies[{number}].matchLabelExpressions"
        if not term.match_label_expressions:
            yield required(at)
        for index, expression in enumerate(term.match_label_expressions):
            yield from names.qualified_name(f"{at}[{index}].key", expression.key)
            if not expression.values:
                yield required(f"{at}[{index}].values")


def _parameters(given: Mapping[str, str], *, allow_empty: bool) -> Iterator[FieldError]:
    if len(given) > MAX_PARAMETERS:
        yield FieldError("parameters", f"may not be more than {MAX_PARAMETERS} bytes", "Too long")
    if any(not key for key in given):
        yield invalid("parameters", "", "field can not be empty")
    if sum(len(key) + len(value) for key, value in given.items()) > MAX_PARAMETERS_BYTES:
        yield FieldError("parameters", f"may not be more than {MAX_PARAMETERS_BYTES} bytes", "Too long")
    if not given and not allow_empty:
        yield required("parameters", "must contain at least one key/value pair")


def storage_class_update(old: storage_v1.StorageClass, new: storage_v1.StorageClass) -> Iterator[FieldError]:
    for field, before, after in (
        ("parameters", old.parameters, new.parameters),
        ("provisioner", old.provisioner, new.provisioner),
        ("reclaimPolicy", old.reclaim_policy, new.reclaim_policy),
    ):
        if before != after:
            yield forbidden(field, f"updates to {field} are forbidden.")
    yield from names.immutable("volumeBindingMode", old.volume_binding_mode, new.volume_binding_mode)


def attributes_class(obj: storage_v1.VolumeAttributesClass) -> Iterator[FieldError]:
    if not obj.driver_name:
        yield required("driverName")
    else:
        yield from _driver("driverName", obj.driver_name)
    yield from _parameters(obj.parameters, allow_empty=False)


def attachment(obj: storage_v1.VolumeAttachment) -> Iterator[FieldError]:
    spec = obj.spec
    if not spec.attacher:
        yield required("spec.attacher")
    else:
        yield from names.qualified_name("spec.attacher", spec.attacher.lower())
    source = spec.source
    inline = source.inline_volume_spec if source is not None else None
    name = source.persistent_volume_name if source is not None else None
    if inline is None and name is None:
        yield required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif inline is not None and name is not None:
        yield forbidden("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif name is not None and not name:
        yield required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
    if not spec.node_name:
        yield required("spec.nodeName")
    else:
        yield from names.dns_subdomain("spec.nodeName", spec.node_name)


def _driver(path: str, name: str) -> Iterator[FieldError]:
    if len(name) > 63:
        yield FieldError(path, "may not be more than 63 bytes", "Too long")
    yield from names.dns_subdomain(path, name.lower())


def driver(obj: storage_v1.CSIDriver) -> Iterator[FieldError]:
    yield from _driver("metadata.name", obj.metadata.name)
    spec = obj.spec
    policies = ("ReadWriteOnceWithFSType", "File", "None")
    yield from one_of("spec.fsGroupPolicy", spec.fs_group_policy, policies, may_be_empty=True)
    for mode in spec.volume_lifecycle_modes:
        yield from one_of("spec.volumeLifecycleModes", mode, ("Ephemeral", "Persistent"))
    audiences: set[str] = set()
    for index, request in enumerate(spec.token_requests):
        at = f"spec.tokenRequests[{index}]"
        if request.audience in audiences:
            yield names.duplicate(f"{at}.audience", request.audience)
        audiences.add(request.audience)
        seconds = request.expiration_seconds
        if seconds is not None and seconds < 600:
            yield invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")


def csi_node(obj: storage_v1.CSINode) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, driver_ in enumerate(obj.spec.drivers):
        at = f"spec.drivers[{index}]"
        if not driver_.name:
            yield required(f"{at}.name")
        else:
            yield from _driver(f"{at}.name", driver_.name)
        if driver_.name in seen:
            yield names.duplicate(f"{at}.name", driver_.name)
        seen.add(driver_.name)
        if not driver_.node_id:
            yield required(f"{at}.nodeID")
        elif len(driver_.node_id) > 256:
            yield invalid(f"{at}.nodeID", driver_.node_id, "must be 256 characters or less")
        if driver_.allocatable is not None and (driver_.allocatable.count or 0) < 0:
            yield invalid(f"{at}.allocatable.count", driver_.allocatable.count, "must be greater than or equal to 0")
        for key in driver_.topology_keys:
            if not key:
                yield required(at)
            else:
                yield from names.qualified_name(at, key)


def capacity(obj: storage_v1.CSIStorageCapacity) -> Iterator[FieldError]:
    if not obj.storage_class_name:
        yield required("storageClassName")
    else:
        yield from names.dns_subdomain("storageClassName", obj.storage_class_name)
    yield from placement.label_selector(obj.node_topology, "nodeTopology")
    for field, quantity in (("capacity", obj.capacity), ("maximumVolumeSize", obj.maximum_volume_size)):
        if quantity is not None and quantity.nanos() < 0:
            yield invalid(field, str(quantity), "must be greater than or equal to 0")

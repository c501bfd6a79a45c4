"""Volumes of pods, and where containers mount them."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.defaults.fill import SOURCES
from knarr_api.errors import FieldError
from knarr_api.types.core_v1 import (
    DownwardAPIVolumeFile,
    KeyToPath,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
)
from knarr_api.validation import names
from knarr_api.validation.names import duplicate, forbidden, invalid, one_of, required

HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"),
)
TOKEN_LEAST_S, TOKEN_MOST_S = 600, 1 << 32
MODE_TEXT = "must be a number between 0 and 0777 (octal), both inclusive"
VOLUME_FIELD_PATHS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def volume(given: Volume, path: str, seen: set[str]) -> Iterator[FieldError]:
    """One volume; ``seen`` collects the names."""
    if not given.name:
        yield required(f"{path}.name")
    else:
        yield from names.dns_label(f"{path}.name", given.name)
        if given.name in seen:
            yield duplicate(f"{path}.name", given.name)
        seen.add(given.name)
    sources = [name for name in SOURCES if getattr(given, name) is not None]
    if not sources:
        yield required(path, "must specify a volume type")
    for extra in sources[1:]:
        yield forbidden(f"{path}.{names.camel(extra)}", "may not specify more than 1 volume type")
    yield from _host_path(given, path)
    if given.config_map is not None:
        if not given.config_map.name:
            yield required(f"{path}.configMap.name")
        yield from _mode(f"{path}.configMap.defaultMode", given.config_map.default_mode)
        yield from _items(given.config_map.items, f"{path}.configMap.items")
    if given.secret is not None:
        if not given.secret.secret_name:
            yield required(f"{path}.secret.secretName")
        yield from _mode(f"{path}.secret.defaultMode", given.secret.default_mode)
        yield from _items(given.secret.items, f"{path}.secret.items")
    if given.empty_dir is not None:
        limit = given.empty_dir.size_limit
        if limit is not None and limit.milli() < 0:
            yield forbidden(f"{path}.emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity")
        mediums = ("HugePages", "Memory")
        if not given.empty_dir.medium.startswith("HugePages-"):
            yield from one_of(f"{path}.emptyDir.medium", given.empty_dir.medium, mediums, may_be_empty=True)
    if given.downward_api is not None:
        yield from _mode(f"{path}.downwardAPI.defaultMode", given.downward_api.default_mode)
        for index, file in enumerate(given.downward_api.items):
            yield from _downward_file(file, f"{path}.downwardAPI.items[{index}]")
    if given.projected is not None:
        yield from _projected(given.projected, f"{path}.projected")
    if given.persistent_volume_claim is not None and not given.persistent_volume_claim.claim_name:
        yield required(f"{path}.persistentVolumeClaim.claimName")


def _host_path(given: Volume, path: str) -> Iterator[FieldError]:
    if given.host_path is None:
        return
    if not given.host_path.path:
        yield required(f"{path}.hostPath.path")
    elif ".." in given.host_path.path.split("/"):
        yield invalid(f"{path}.hostPath.path", given.host_path.path, "must not contain '..'")
    yield from one_of(f"{path}.hostPath.type", given.host_path.type or "", HOST_PATH_TYPES, may_be_empty=True)


def _mode(path: str, mode: int | None) -> Iterator[FieldError]:
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(path, mode, MODE_TEXT)


def _items(items: tuple[KeyToPath, ...], path: str) -> Iterator[FieldError]:
    for index, item in enumerate(items):
        at = f"{path}[{index}]"
        if not item.key:
            yield required(f"{at}.key")
        yield from _relative_file(f"{at}.path", item.path)
        yield from _mode(f"{at}.mode", item.mode)


def _relative_file(path: str, value: str) -> Iterator[FieldError]:
    if not value:
        yield required(path)
        return
    yield from relative(path, value)
    if value.startswith(".."):
        yield invalid(path, value, "must not start with '..'")


def relative(path: str, value: str) -> Iterator[FieldError]:
    """Stays below where it starts."""
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def _downward_file(file: DownwardAPIVolumeFile, path: str) -> Iterator[FieldError]:
    yield from _relative_file(f"{path}.path", file.path)
    yield from _mode(f"{path}.mode", file.mode)
    if file.field_ref is None and file.resource_field_ref is None:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    elif file.field_ref is not None and file.resource_field_ref is not None:
        yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif file.field_ref is not None:
        yield from field_path(f"{path}.fieldRef.fieldPath", file.field_ref.field_path, VOLUME_FIELD_PATHS)
    elif file.resource_field_ref is not None:
        if not file.resource_field_ref.container_name:
            yield required(f"{path}.resourceFieldRef.containerName")
        if not file.resource_field_ref.resource:
            yield required(f"{path}.resourceFieldRef.resource")


def field_path(path: str, given: str, supported: tuple[str, ...]) -> Iterator[FieldError]:
    """A field of the pod, ``metadata.labels['app']`` included."""
    subscripted = given.startswith(("metadata.labels['", "metadata.annotations['")) and given.endswith("']")
    if not given:
        yield required(path)
    elif subscripted:
        yield from names.qualified_name(path, given.split("'")[1])
    elif given not in supported:
        yield names.unsupported(path, given, supported)


def _projected(projected: ProjectedVolumeSource, path: str) -> Iterator[FieldError]:
    yield from _mode(f"{path}.defaultMode", projected.default_mode)
    for index, source in enumerate(projected.sources):
        at = f"{path}.sources[{index}]"
        given = [name for name in source.__struct_fields__ if getattr(source, name) is not None]
        if len(given) > 1:
            yield forbidden(f"{at}.{names.camel(given[1])}", "may not specify more than 1 volume type")
        if not given:
            yield required(at, "must specify a source")
        for field, named in (("configMap", source.config_map), ("secret", source.secret)):
            if named is not None:
                if not named.name:
                    yield required(f"{at}.{field}.name")
                yield from _items(named.items, f"{at}.{field}.items")
        if source.downward_api is not None:
            for number, file in enumerate(source.downward_api.items):
                yield from _downward_file(file, f"{at}.downwardAPI.items[{number}]")
        if source.service_account_token is not None:
            yield from _token(source.service_account_token, f"{at}.serviceAccountToken")


def _token(given: ServiceAccountTokenProjection, at: str) -> Iterator[FieldError]:
    lasts_s = given.expiration_seconds
    if not given.path:
        yield required(f"{at}.path")
    elif given.path.startswith("/") or ".." in given.path.split("/"):
        yield invalid(f"{at}.path", given.path, "must be a relative path that does not contain '..'")
    if lasts_s is not None and lasts_s < TOKEN_LEAST_S:
        yield invalid(f"{at}.expirationSeconds", lasts_s, "may not specify a duration less than 10 minutes")
    if lasts_s is not None and lasts_s > TOKEN_MOST_S:
        yield invalid(f"{at}.expirationSeconds", lasts_s, "may not specify a duration larger than 2^32 seconds")


def mount(given: VolumeMount, path: str, volumes: set[str], targets: set[str]) -> Iterator[FieldError]:
    """One mount of a container; ``targets`` collects the paths."""
    if not given.name:
        yield required(f"{path}.name")
    elif given.name not in volumes:
        yield FieldError(f"{path}.name", "", "Not found", given.name)
    if not given.mount_path:
        yield required(f"{path}.mountPath")
    elif given.mount_path in targets:
        yield invalid(f"{path}.mountPath", given.mount_path, "must be unique")
    elif ":" in given.mount_path:
        yield invalid(f"{path}.mountPath", given.mount_path, "must not contain ':'")
    targets.add(given.mount_path)
    if given.sub_path:
        yield from relative(f"{path}.subPath", given.sub_path)
    if given.sub_path_expr:
        yield from relative(f"{path}.subPathExpr", given.sub_path_expr)
        if given.sub_path:
            yield invalid(f"{path}.subPathExpr", given.sub_path_expr, "subPathExpr and subPath are mutually exclusive")
    propagations = ("Bidirectional", "HostToContainer", "None")
    yield from one_of(f"{path}.mountPropagation", given.mount_propagation or "", propagations, may_be_empty=True)
    wanted = given.recursive_read_only
    yield from one_of(f"{path}.recursiveReadOnly", wanted, ("Disabled", "Enabled", "IfPossible"), may_be_empty=True)
    if wanted in ("Enabled", "IfPossible"):
        if not given.read_only:
            yield forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true")
        if given.mount_propagation not in (None, "", "None"):
            text = "may only be specified when mountPropagation is None or not specified"
            yield forbidden(f"{path}.recursiveReadOnly", text)

"""Names, labels and annotations. Source: Kubernetes "Object Names and IDs"; RFC 1123; RFC 1035."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping

from knarr_api import labels as label_rules
from knarr_api.errors import FieldError
from knarr_api.types.meta_v1 import LabelSelector

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
ENVIRONMENT = re.compile(r"[ -<>-~]+")
HEADER = re.compile(r"[-A-Za-z0-9]+")
SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
PORT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
DATA_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
MAX_ANNOTATIONS_BYTES = 256 * 1024


def invalid(path: str, value: object, message: str) -> FieldError:
    return FieldError(path, message, "Invalid value", value)


def required(path: str, message: str = "") -> FieldError:
    return FieldError(path, message, "Required value")


def forbidden(path: str, message: str) -> FieldError:
    return FieldError(path, message, "Forbidden")


def duplicate(path: str, value: object) -> FieldError:
    return FieldError(path, "", "Duplicate value", value)


def unsupported(path: str, value: object, supported: tuple[str, ...]) -> FieldError:
    listed = ", ".join(f'"{option}"' for option in supported)
    return FieldError(path, f"supported values: {listed}", "Unsupported value", value)


def dns_label(path: str, value: str) -> Iterator[FieldError]:
    if len(value) > 63:
        yield invalid(path, value, "must be no more than 63 characters")
    elif not LABEL.fullmatch(value):
        yield invalid(path, value, LABEL_TEXT)


def dns_subdomain(path: str, value: str) -> Iterator[FieldError]:
    if len(value) > 253:
        yield invalid(path, value, "must be no more than 253 characters")
    elif not SUBDOMAIN.fullmatch(value):
        yield invalid(path, value, SUBDOMAIN_TEXT)


def path_segment(path: str, value: str) -> Iterator[FieldError]:
    """The least that every name must be: kinds like Role admit more than DNS names."""
    if value in (".", "..") or any(character in value for character in "/%") or len(value) > 253:
        yield invalid(path, value, "must not be '.' or '..', contain '/' or '%', or be longer than 253 characters")


def name_prefix(path: str, value: str) -> Iterator[FieldError]:
    """``generateName``: a name begins with it, so it may end where a name may not."""
    yield from dns_subdomain(path, value.removesuffix("-").removesuffix(".") or value)


def qualified_name(path: str, value: str) -> Iterator[FieldError]:
    """A label's key, a taint's, a resource's."""
    problem = label_rules.key_problem(value)
    if problem:
        yield invalid(path, value, problem)


def label_value(path: str, value: str) -> Iterator[FieldError]:
    problem = label_rules.value_problem(value)
    if problem:
        yield invalid(path, value, problem)


def ip_address(path: str, value: str) -> Iterator[FieldError]:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        yield invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def cidr(path: str, value: str) -> Iterator[FieldError]:
    try:
        if "/" not in value:
            raise ValueError(value)
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        yield invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def label_map(path: str, labels: Mapping[str, str]) -> Iterator[FieldError]:
    for key, value in labels.items():
        problem = label_rules.key_problem(key)
        if problem:
            yield invalid(path, key, problem)
        problem = label_rules.value_problem(value)
        if problem:
            yield invalid(path, value, problem)


def annotation_map(path: str, annotations: Mapping[str, str]) -> Iterator[FieldError]:
    for key in annotations:
        problem = label_rules.key_problem(key.lower())
        if problem:
            yield invalid(path, key, problem)
    size_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size_bytes > MAX_ANNOTATIONS_BYTES:
        yield FieldError(path, f"may not be more than {MAX_ANNOTATIONS_BYTES} bytes", "Too long")


def data_key(path: str, key: str) -> Iterator[FieldError]:
    """Of a ConfigMap or a Secret: it is a file's name as well."""
    if len(key) > 253 or not DATA_KEY.fullmatch(key) or key in (".", "..") or key.startswith(".."):
        yield invalid(path, key, DATA_KEY_TEXT)


def not_negative(path: str, value: int | None) -> Iterator[FieldError]:
    if value is not None and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def positive(path: str, value: int | None) -> Iterator[FieldError]:
    if value is not None and value <= 0:
        yield invalid(path, value, "must be greater than 0")


def port_number(path: str, value: int | None) -> Iterator[FieldError]:
    if value is not None and not 1 <= value <= 65535:
        yield invalid(path, value, "must be between 1 and 65535, inclusive")


def port_name(path: str, value: str) -> Iterator[FieldError]:
    if len(value) > 15:
        yield invalid(path, value, "must be no more than 15 characters")
    elif not PORT_NAME.fullmatch(value) or "--" in value or not any(c.isalpha() for c in value):
        yield invalid(
            path, value, "must contain at least one letter, and only alphanumeric characters (a-z, 0-9) and '-'"
        )


def one_of(path: str, value: str, supported: tuple[str, ...], *, may_be_empty: bool = False) -> Iterator[FieldError]:
    if value not in supported and not (may_be_empty and not value):
        yield unsupported(path, value, supported) if value else required(path)


def camel(attribute: str) -> str:
    """The JSON name of an attribute of a volume or a handler: ``config_map`` is ``configMap``."""
    special = {"downward_api": "downwardAPI", "exec_": "exec", "nfs": "nfs", "csi": "csi", "scale_io": "scaleIO"}
    first, *others = attribute.rstrip("_").split("_")
    return special.get(attribute) or first + "".join(word.capitalize() for word in others)


def immutable(path: str, old: object, new: object) -> Iterator[FieldError]:
    """A field that never changes."""
    if old != new:
        yield invalid(path, _shown(new), "field is immutable")


def _shown(value: object) -> object:
    if isinstance(value, LabelSelector):
        return str(label_rules.Selector.from_label_selector(value))
    return value if isinstance(value, str | int) else ""

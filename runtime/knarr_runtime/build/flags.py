"""Flags of instructions: ``--from=x``, ``--mount=type=cache,target=/x``, ``--interval=5s``. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from knarr_runtime.build.instructions import RunMount
from knarr_runtime.errors import Invalid

_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SIZE = re.compile(r"(\d+)([kmg]?)b?\Z", re.IGNORECASE)
_MOUNT_KINDS = ("bind", "cache", "tmpfs", "secret")
_TRUE = ("", "1", "t", "true")
_FALSE = ("0", "f", "false")


class Flags:
    """Those of one instruction; each is asked for once, what nobody asked for is an error."""

    def __init__(self, keyword: str, given: Sequence[str]) -> None:
        self._keyword = keyword
        self._given: dict[str, list[str | None]] = {}
        for flag in given:
            name, equals, value = flag[2:].partition("=")
            self._given.setdefault(name, []).append(value if equals else None)

    def many(self, name: str) -> tuple[str, ...]:
        values = self._given.pop(name, [])
        if None in values:
            raise Invalid(f"missing a value on flag: --{name}")
        return tuple(value for value in values if value is not None)

    def text(self, name: str) -> str:
        values = self.many(name)
        if len(values) > 1:
            raise Invalid(f"duplicate flag specified: --{name}")
        return values[0] if values else ""

    def boolean(self, name: str) -> bool:
        values = self._given.pop(name, [])
        if not values:
            return False
        value = (values[-1] or "").lower()
        if value not in (*_TRUE, *_FALSE):
            raise Invalid(f"expecting boolean value for flag --{name}, not: {values[-1]}")
        return value in _TRUE

    def all_taken(self) -> None:
        for name in self._given:
            raise Invalid(f"unknown flag: --{name} of {self._keyword}")


def duration_ns(text: str, what: str) -> int:
    """``1m30s``; "" is 0. Raises Invalid."""
    if not text:
        return 0
    if text != "0" and not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        raise Invalid(f'{what}: "{text}" is no duration; write it as 30s or 1m30s')
    total = round(sum(float(number) * _UNITS_NS[unit] for number, unit in _DURATION.findall(text)))
    if 0 < total < 10**6:
        raise Invalid(f'{what}: "{text}" is less than 1ms')
    return total


def run_mount(text: str) -> RunMount:
    """The value of ``RUN --mount``. Raises Invalid."""
    rows = list(csv.reader([text]))
    fields: dict[str, str] = {}
    for part in rows[0] if rows else []:
        key, equals, value = part.partition("=")
        key = _ALIASES.get(key.strip().lower(), key.strip().lower())
        if key not in _KNOWN:
            raise Invalid(f'unexpected key "{key}" in mount "{text}"')
        if key == "readwrite":
            key, value = "readonly", "false" if value.lower() in _TRUE else "true"
        elif not equals and key not in ("readonly", "required"):
            raise Invalid(f'invalid field "{part}" in mount "{text}": must be a key=value pair')
        fields[key] = value
    kind = fields.get("type", "bind")
    if kind not in _MOUNT_KINDS:
        raise Invalid(f"RUN --mount=type={kind}: is not supported; there are {', '.join(_MOUNT_KINDS)}")
    target = fields.get("target", "")
    if kind == "secret":
        identifier = fields.get("id") or target.rsplit("/", 1)[-1] or fields.get("env", "")
        if not identifier:
            raise Invalid(f'invalid mount "{text}": a secret needs an id')
        target = target or ("" if fields.get("env") else f"/run/secrets/{identifier}")
        fields["id"] = identifier
    elif not target:
        raise Invalid(f'invalid mount "{text}": a target is needed')
    sharing = fields.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        raise Invalid(f'invalid mount "{text}": sharing must be shared, private or locked')
    return RunMount(
        kind=kind,
        target=target,
        source=fields.get("source", "/"),
        from_=fields.get("from", ""),
        id=fields.get("id", target),
        env=fields.get("env", ""),
        readonly=_boolean(fields.get("readonly", "true" if kind == "bind" else "false"), text),
        required=_boolean(fields.get("required", "false"), text),
        sharing=sharing,
        mode=_octal(fields.get("mode", "0755" if kind == "cache" else "0400"), text),
        uid=_number(fields.get("uid", "0"), text),
        gid=_number(fields.get("gid", "0"), text),
        size_bytes=_size(fields.get("size", "0"), text),
    )


_ALIASES = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly", "rw": "readwrite"}
_KNOWN = (
    *("type", "target", "source", "from", "id", "readonly", "readwrite", "sharing"),
    *("required", "mode", "uid", "gid", "size", "env"),
)


def _boolean(text: str, mount: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise Invalid(f'invalid mount "{mount}": "{text}" is neither true nor false')
    return text.lower() in _TRUE


def _number(text: str, mount: str) -> int:
    if not text.isdecimal() or len(text) > 10:
        raise Invalid(f'invalid mount "{mount}": "{text}" is not a number')
    return int(text)


def _octal(text: str, mount: str) -> int:
    if not re.fullmatch("[0-7]{1,5}", text):
        raise Invalid(f'invalid mount "{mount}": mode "{text}" is not octal')
    return int(text, 8) & 0o7777


def _size(text: str, mount: str) -> int:
    match = _SIZE.match(text)
    if match is None:
        raise Invalid(f'invalid mount "{mount}": size "{text}" is not a number of bytes (64m, 1g)')
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()]

"""Strategic merge patch: a merge patch that knows which lists have keys, and takes directives. Pure.

======================================  ======================================================================
``$patch: replace | delete | merge``    in an object: instead of merging it; in an item of a list: that item, or,
                                        for replace, the whole list
``$setElementOrder/<list>``             the order of the items; those not named keep their place
``$deleteFromPrimitiveList/<list>``     values to take out of a list
``$retainKeys``                         in an object: the only fields that stay
======================================  ======================================================================

Source: Kubernetes "Update API Objects in Place Using kubectl patch" and the design of strategic merge patch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from knarr_api.errors import Invalid
from knarr_api.shapes import WHOLE, Shape

PATCH, RETAIN_KEYS = "$patch", "$retainKeys"
ORDER, DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"

Identify = Callable[[Any], Any]


def patched(document: Mapping[str, Any], patch: Any, shape: Shape) -> dict[str, Any]:
    """Raises Invalid for a patch with directives that are none, or items without their key."""
    if not isinstance(patch, Mapping):
        raise Invalid("a strategic merge patch must be a JSON object")
    return _object(document, patch, shape)


def _object(original: Mapping[str, Any], patch: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    directive = patch.get(PATCH, "merge")
    if directive == "replace":
        return {name: _plain(value) for name, value in patch.items() if name != PATCH}
    if directive == "delete":
        return {}
    if directive != "merge":
        raise Invalid(f"unknown patch type found: {directive!r:.40} in map: must be replace, delete or merge")
    result = _retained(original, patch)
    for name, values in patch.items():
        if name.startswith(DELETE):
            _delete_values(result, name.removeprefix(DELETE), values)
    for name, value in patch.items():
        if name.startswith("$"):
            _check_directive(name)
        elif value is None:
            result.pop(name, None)
        elif name not in result:
            result[name] = _new(value, shape.child(name) or WHOLE)
        else:
            result[name] = _value(result[name], value, shape.child(name) or WHOLE)
    for name, order in patch.items():
        if name.startswith(ORDER) and isinstance(result.get(of := name.removeprefix(ORDER)), list):
            inner = shape.child(of) or WHOLE
            result[of] = _ordered(result[of], order, original.get(of), inner)
    return result


def _check_directive(name: str) -> None:
    if name not in (PATCH, RETAIN_KEYS) and not name.startswith((ORDER, DELETE)):
        raise Invalid(f'"{name:.80}" is no directive of a strategic merge patch')


def _retained(original: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    if RETAIN_KEYS not in patch:
        return dict(original)
    keep = patch[RETAIN_KEYS]
    if not isinstance(keep, list) or not all(isinstance(name, str) for name in keep):
        raise Invalid(f"{RETAIN_KEYS}: expected a list of field names")
    extra = [name for name, value in patch.items() if not name.startswith("$") and value is not None]
    if not set(extra) <= set(keep):
        raise Invalid(f"{RETAIN_KEYS} {keep} does not have all fields of the patch {extra}")
    return {name: value for name, value in original.items() if name in keep}


def _delete_values(result: dict[str, Any], name: str, values: Any) -> None:
    if not isinstance(values, list):
        raise Invalid(f"{DELETE}{name}: expected a list of values")
    if isinstance(result.get(name), list):
        gone = set(map(_hashable, values))
        result[name] = [item for item in result[name] if _hashable(item) not in gone]


def _value(original: Any, patch: Any, shape: Shape) -> Any:
    if isinstance(original, Mapping) and isinstance(patch, Mapping):
        return _plain(patch) if "replace" in shape.strategies else _object(original, patch, shape)
    if isinstance(original, list) and isinstance(patch, list) and "merge" in shape.strategies:
        return _list(original, patch, shape)
    return _plain(patch)


def _new(value: Any, shape: Shape) -> Any:
    """What was not there before, merged with nothing."""
    if isinstance(value, Mapping):
        return _object({}, value, shape)
    if isinstance(value, list) and "merge" in shape.strategies:
        return _list([], value, shape)
    return _plain(value)


def _list(original: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    if not any(isinstance(item, Mapping) for item in (*original, *patch)):
        asked = list(dict.fromkeys(patch)) if all(_scalar(item) for item in patch) else patch
        named = set(map(_hashable, asked))
        rest = [item for item in original if _hashable(item) not in named]
        return _placed(rest, asked, original, lambda item: item)
    if not shape.merge_key:
        raise Invalid("cannot merge lists without merge key")
    identify = _by(shape.merge_key)
    inner = shape.inner or WHOLE
    gone = set()
    asked = []
    for item in patch:
        directive = item.get(PATCH, "merge") if isinstance(item, Mapping) else "merge"
        if directive == "delete":
            gone.add(_hashable(identify(item)))
        elif directive == "replace":
            return [_plain(each) for each in patch if not (isinstance(each, Mapping) and PATCH in each)]
        elif directive == "merge":
            asked.append(item)
        else:
            raise Invalid(f"unknown patch type found: {directive!r:.40} in list: must be replace, delete or merge")
    kept = [(key, item) for item in original if (key := _hashable(identify(item))) not in gone]
    present: dict[Any, Mapping[str, Any]] = dict(reversed(kept))  # of several with the same key the first
    merged: dict[Any, Any] = {}
    for item in asked:
        key = _hashable(identify(item))
        merged[key] = _object(merged.get(key, present.get(key, {})), item, inner)
    rest = [item for key, item in kept if key not in merged]
    return _placed(rest, list(merged.values()), original, identify)


def _placed(rest: list[Any], asked: list[Any], before: list[Any], identify: Identify) -> list[Any]:
    """Items of a patch first, but behind those that stood before them."""
    places = {_hashable(identify(item)): place for place, item in reversed(list(enumerate(before)))}
    result: list[Any] = []
    waiting = deque(rest)
    for item in asked:
        place = places.get(_hashable(identify(item)))
        while waiting and place is not None and places[_hashable(identify(waiting[0]))] < place:
            result.append(waiting.popleft())
        result.append(item)
    return [*result, *waiting]


def _ordered(items: list[Any], order: Any, before: Any, shape: Shape) -> list[Any]:
    """As ``$setElementOrder`` says; what it does not name keeps its place among what was there before."""
    if not isinstance(order, list):
        raise Invalid(f"{ORDER.rstrip('/')}: expected a list")
    has_keys = any(isinstance(item, Mapping) for item in (*items, *order))
    if has_keys and not shape.merge_key:
        raise Invalid("cannot order lists without merge key")
    identify = _by(shape.merge_key) if has_keys else (lambda item: item)
    rank = {_hashable(identify(item)): place for place, item in enumerate(order)}
    asked = sorted(
        (item for item in items if _hashable(identify(item)) in rank), key=lambda item: rank[_hashable(identify(item))]
    )
    rest = [item for item in items if _hashable(identify(item)) not in rank]
    known = [*(before if isinstance(before, list) else []), *items]
    return _placed(rest, asked, known, identify)


def _by(key: str) -> Identify:
    def identify(item: Any) -> Any:
        if not isinstance(item, Mapping) or key not in item:
            raise Invalid(f"map: {item!r:.200} does not contain declared merge key: {key}")
        return item[key]

    return identify


def _hashable(value: Any) -> Any:
    return value if _scalar(value) else repr(value)


def _scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _plain(value: Any) -> Any:
    """Without directives, which mean nothing where there is nothing to merge with."""
    if isinstance(value, Mapping):
        if value.get(PATCH) == "delete":
            return {}
        return {name: _plain(item) for name, item in value.items() if not name.startswith("$")}
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, Mapping) and item.get(PATCH) == "delete")]
    return value

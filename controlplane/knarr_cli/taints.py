"""What ``taint`` is asked for, and what becomes of a node's taints. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knarr_api.errors import Invalid
from knarr_api.labels import key_problem, value_problem

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
Taint = dict[str, str]


@dataclass(frozen=True, slots=True)
class TaintChange:
    """add: taints as in a node's spec. remove: (key, effect); an empty effect means all."""

    add: tuple[Taint, ...]
    remove: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, words: Iterable[str]) -> TaintChange:
        """``key=value:Effect``, ``key:Effect``, ``key:Effect-``, ``key-``. Raises Invalid."""
        add: dict[tuple[str, str], Taint] = {}
        remove: list[tuple[str, str]] = []
        for word in words:
            key, value, effect = _parts(word.removesuffix("-"))
            if word.endswith("-"):
                if effect:
                    _check_effect(effect)
                remove.append((key, effect))
                continue
            if not effect:
                raise Invalid(f'invalid taint spec: "{word}": expected KEY[=VALUE]:EFFECT')
            _check_effect(effect)
            if (key, effect) in add:
                raise Invalid(f"duplicated taints with the same key and effect: {word}")
            add[key, effect] = {"key": key, **({"value": value} if value else {}), "effect": effect}
        if not add and not remove:
            raise Invalid("at least one taint update is required: KEY[=VALUE]:EFFECT or KEY[:EFFECT]-")
        for key, effect in remove:
            if any(key == other and effect in ("", its) for other, its in add):
                raise Invalid("can not both modify and remove the following taint(s) in the same command: " + key)
        return cls(tuple(add.values()), tuple(remove))


def tainted(node: str, present: Sequence[Taint], wanted: TaintChange, overwrite: bool) -> tuple[list[Taint], str]:
    """The taints after the change, and the word for it. Raises Invalid for what is there already, or is not."""
    taints = list(present)
    for key, effect in wanted.remove:
        left = [taint for taint in taints if taint["key"] != key or effect not in ("", taint["effect"])]
        if len(left) == len(taints):
            raise Invalid(f'taint "{key}{":" + effect if effect else ""}" not found')
        taints = left
    for new in wanted.add:
        same = [taint for taint in taints if (taint["key"], taint["effect"]) == (new["key"], new["effect"])]
        if same and not overwrite:
            raise Invalid(f"node {node} already has {new['key']} taint(s) with same effect(s) and --overwrite is false")
        taints = [taint for taint in taints if taint not in same] + [new]
    word = "modified" if overwrite or (wanted.add and wanted.remove) else "tainted" if wanted.add else "untainted"
    return taints, word


def _parts(word: str) -> tuple[str, str, str]:
    rest, _, effect = word.partition(":")
    key, _, value = rest.partition("=")
    problem = key_problem(key) or value_problem(value)
    if problem:
        raise Invalid(f'invalid taint spec: "{word}": {problem}')
    return key, value, effect


def _check_effect(effect: str) -> None:
    if effect not in EFFECTS:
        raise Invalid(f"invalid taint effect: {effect}, unsupported taint effect: must be one of {', '.join(EFFECTS)}")

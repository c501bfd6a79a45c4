"""Field selectors: ``spec.nodeName=n1,metadata.name!=x``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from knarr_api.errors import Invalid

MAX_TERMS = 32


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a field with a text."""

    field: str
    value: str
    equal: bool = True


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All terms must hold; without any everything matches."""

    terms: tuple[Term, ...] = ()

    @classmethod
    def parse(cls, text: str, supported: Collection[str] | None = None) -> FieldSelector:
        """Raises Invalid for what is no selector, and for a field that is not in ``supported``."""
        terms: list[Term] = []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, equal, value = _split(part, text)
            if supported is not None and name not in supported:
                known = ", ".join(sorted(supported))
                raise Invalid(f"field label not supported: {name}: supported are {known}")
            terms.append(Term(name, value, equal))
        if len(terms) > MAX_TERMS:
            raise Invalid(f"field selector has more than {MAX_TERMS} terms")
        return cls(tuple(terms))

    def matches(self, read: Callable[[str], str]) -> bool:
        """``read`` gives a field's text, empty where it is absent."""
        return all((read(term.field) == term.value) == term.equal for term in self.terms)

    def exact(self, field: str) -> str | None:
        """The value that the field must have, if the selector demands one."""
        return next((term.value for term in self.terms if term.field == field and term.equal), None)

    def __str__(self) -> str:
        return ",".join(f"{term.field}{'=' if term.equal else '!='}{term.value}" for term in self.terms)


def _split(part: str, text: str) -> tuple[str, bool, str]:
    for operator, equal in (("!=", False), ("==", True), ("=", True)):
        name, found, value = part.partition(operator)
        if found and name.strip():
            return name.strip(), equal, value.strip()
    raise Invalid(f"invalid field selector {text!r}: expected field=value or field!=value, found {part!r}")

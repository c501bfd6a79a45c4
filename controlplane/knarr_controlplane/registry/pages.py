"""Lists in pages: all pages of one list are of one revision, as long as the log of changes reaches back to it."""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from knarr_api import errors
from knarr_api.kinds import Kind
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.store import revision

MAX_LIMIT = 10_000
MAX_PAGE_BYTES = 16 * 1024 * 1024
"""Of JSON, in one page: there may be fewer objects in it than asked for."""
MAX_TOKEN = 2048
LISTS_MAX = 8
"""Lists under way of which what is left is kept."""
INCONSISTENT = -1
"""In a token instead of a revision: go on with what is there now."""
NOT_OLDER, EXACT = "NotOlderThan", "Exact"


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of one revision. continue_ is empty on the last page; remaining is unknown, 0, where a selector is."""

    entries: tuple[CacheEntry, ...]
    revision: int
    continue_: str = ""
    remaining: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which page. resource_version and match as in Kubernetes' ListOptions."""

    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    match: str = ""

    def check(self) -> None:
        """Raises Invalid for what does not fit together."""
        if self.limit < 0:
            raise errors.Invalid(f"limit: Invalid value: {self.limit}: must be greater than or equal to 0")
        if self.match not in ("", NOT_OLDER, EXACT):
            raise _match(f'Unsupported value: "{self.match}": supported values: "Exact", "NotOlderThan"')
        if self.continue_ and self.match:
            raise _match("Forbidden: resourceVersionMatch is forbidden when continue is provided")
        if self.continue_ and self.resource_version not in ("", "0"):
            raise errors.Invalid("specifying resource version is not allowed when using continue")
        if self.match and not self.resource_version:
            raise _match("Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")
        if self.match == EXACT and self.resource_version == "0":
            raise _match('Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        number(self.resource_version)

    @property
    def newest(self) -> bool:
        """Whether the list must have all that was written before it was asked for."""
        return not self.resource_version and not self.continue_

    @property
    def not_older(self) -> str:
        """The revision that must have been seen, where one is named. Another server may have made the page before,
        with a cache that is ahead. Raises Invalid for a token that is none."""
        return str(max(_parse(self.continue_)[0], 0)) if self.continue_ else self.resource_version


def number(resource_version: str) -> int:
    """Raises Invalid for what is no revision; 0 where none is given."""
    if not resource_version:
        return 0
    if not resource_version.isdecimal() or len(resource_version) >= 20:
        raise errors.Invalid(f'resourceVersion: Invalid value: "{resource_version}": must be a revision')
    return int(resource_version)


class Lists:
    """Lists in pages. What is left of one is kept for its next page: were it found anew for each, a long list would
    cost the square of its length."""

    def __init__(self) -> None:
        self._left: OrderedDict[tuple[str, Filter, int, str], tuple[Sequence[CacheEntry], int]] = OrderedDict()
        """By kind, filter, revision and the last key that was given: a list, and where it goes on."""

    def page(self, cache: WatchCache, kind: Kind, filter_: Filter, wanted: Wanted) -> Page:
        """Raises Expired when the objects have changed too much since the page before or the revision asked for."""
        at, after = _parse(wanted.continue_) if wanted.continue_ else (cache.revision, "")
        if at == INCONSISTENT:
            at = cache.revision
        if wanted.match == EXACT:
            at = number(wanted.resource_version)
        _check_remembered(cache, kind, at, after)
        left = self._left.pop((kind.qualified, filter_, at, after), None) if after else None
        found, start = left or (_at(cache, kind, filter_, at, after), 0)
        limit = min(wanted.limit, MAX_LIMIT)
        end = start + fitting(found[start : start + limit], limit) if limit else len(found)
        taken = tuple(found[start:end])
        if end == len(found):
            return Page(taken, at)
        last = taken[-1].key
        self._left[kind.qualified, filter_, at, last] = found, end
        if len(self._left) > LISTS_MAX:
            self._left.popitem(last=False)
        whole = filter_.labels is None and filter_.fields is None
        return Page(taken, at, _token(at, last), len(found) - end if whole else 0)


def fitting(found: Sequence[CacheEntry], limit: int) -> int:
    """How many of them go into a page: one at least."""
    size_bytes = 0
    for count, entry in enumerate(found[:limit]):
        size_bytes += entry.size_bytes
        if size_bytes > MAX_PAGE_BYTES and count:
            return count
    return min(limit, len(found))


def _check_remembered(cache: WatchCache, kind: Kind, at: int, after: str) -> None:
    """Raises Expired where the log of changes does not reach back to a revision."""
    forgotten = cache.of(kind).forgotten
    if at < forgotten and not revision.same_write(at, forgotten):
        if after:
            raise _expired(after)
        raise errors.Expired("The resourceVersion for the provided list is too old.")


def _at(cache: WatchCache, kind: Kind, filter_: Filter, at: int, after: str) -> Sequence[CacheEntry]:
    """The matching entries after a key at a revision: today's with what was logged since taken back."""
    of_kind = cache.of(kind)
    if not of_kind.log or of_kind.log[-1].revision <= at:
        return [entry for entry in cache.select(kind, filter_) if entry.key > after]
    present = dict(of_kind.entries)
    for logged in reversed(of_kind.log):
        if logged.revision <= at:
            break
        if logged.new is not None:
            present.pop(logged.new.key, None)
        if logged.old is not None:
            present[logged.old.key] = logged.old
    return [present[key] for key in sorted(present) if key > after and filter_.admits(present[key])]


def _expired(after: str) -> errors.Expired:
    """With a token that goes on at the same place, for those to whom a list of several revisions is good enough."""
    return errors.Expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        details=[errors.FieldError("metadata.continue", _token(INCONSISTENT, after))],
    )


def _token(at: int, key: str) -> str:
    return base64.urlsafe_b64encode(f"{at} {key}".encode()).decode()


def _parse(token: str) -> tuple[int, str]:
    try:
        at, _, key = base64.urlsafe_b64decode(token[:MAX_TOKEN].encode()).decode().partition(" ")
        return int(at[:20]), key
    except ValueError as error:
        raise errors.Invalid("continue: Invalid value: not one of this server's") from error


def _match(text: str) -> errors.Invalid:
    return errors.Invalid(f"resourceVersionMatch: {text}")

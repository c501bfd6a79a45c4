"""Volume claims of StatefulSets: made before their pods under the names they are known by, kept, and removed as the
policy says.

Nothing binds claims to storage yet. Here a node's disk does: a pod is started when its claims are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from knarr_api import kinds
from knarr_api.errors import NotFound
from knarr_api.quantity import Quantity
from knarr_api.types.apps_v1 import StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec
from knarr_api.types.core_v1 import (
    EmptyDirVolumeSource,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Pod,
    VolumeResourceRequirements,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.environment import Sources
from knarr_node_agent.volumes import Volumes
from tests.simulation.law import Law
from tests.simulation.moment import STALE_S
from tests.simulation.state import asked, controller, has_to_go, is_available, is_going, ordinal, owners

DATA = "data"
"""The template's name, and the volume's."""
CLAIM = kinds.of(PersistentVolumeClaim)
replace = msgspec.structs.replace


def with_claims(spec: StatefulSetSpec, when_scaled: str, when_deleted: str) -> StatefulSetSpec:
    wanted = VolumeResourceRequirements(requests={"storage": Quantity("1Gi")})
    template = PersistentVolumeClaim(
        metadata=ObjectMeta(name=DATA),
        spec=PersistentVolumeClaimSpec(access_modes=("ReadWriteOnce",), resources=wanted),
    )
    policy = StatefulSetPersistentVolumeClaimRetentionPolicy(when_scaled=when_scaled, when_deleted=when_deleted)
    return replace(spec, volume_claim_templates=(template,), persistent_volume_claim_retention_policy=policy)


class Disks(Volumes):
    """A node's volumes, a claim's among them. claims: the names of those that are stored now, by namespace."""

    claims: Any = staticmethod(lambda namespace: frozenset())

    def prepare(self, pod: Pod, sources: Sources) -> None:
        present = self.claims(pod.metadata.namespace)
        volumes = []
        for volume in pod.spec.volumes:
            if (claimed := volume.persistent_volume_claim) is not None:
                if claimed.claim_name not in present:
                    raise NotFound(f'persistentvolumeclaim "{claimed.claim_name}" not found')
                volume = replace(volume, persistent_volume_claim=None, empty_dir=EmptyDirVolumeSource())
            volumes.append(volume)
        super().prepare(replace(pod, spec=replace(pod.spec, volumes=tuple(volumes))), sources)


@dataclass(frozen=True, slots=True)
class Asked:
    """How many pods a StatefulSet has asked for since then."""

    at_s: float
    count: int


@dataclass(slots=True)
class Past:
    """Of a StatefulSet with claims. stateful: as it was last. since: oldest first."""

    stateful: StatefulSet
    since: list[Asked] = field(default_factory=list)
    gone: bool = False
    rolled: bool = False
    """Its template has changed: from then on pods go for that, too."""

    @property
    def goes(self) -> bool:
        """It is gone, or about to go: all that is its own goes for that."""
        return self.gone or is_going(self.stateful)

    def counts(self, at_s: float) -> list[int]:
        """All that were asked for then or later."""
        first = next((place for place, each in enumerate(self.since) if each.at_s > at_s), len(self.since))
        return [each.count for each in self.since[max(0, first - 1) :]]

    def policy(self, when: str) -> str:
        policy = self.stateful.spec.persistent_volume_claim_retention_policy
        return str(getattr(policy, when, "")) or "Retain"


class Claims(Law):
    """Claims by their StatefulSet, which a name tells."""

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self._pasts: dict[tuple[str, str], Past] = {}
        """By namespace and name."""
        self._condemned: set[str] = set()
        """Uids of claims that were given to pods above the asked number: nobody takes that back once such a pod is
        gone, however long nobody leads."""
        self._orphaned: set[str] = set()
        """Uids of StatefulSets whose user wants all of theirs to stay."""

    def written(self, at_s: float, old: Any, new: Any, *, leading: bool) -> None:
        match new if new is not None else old:
            case StatefulSet() as stateful if stateful.spec.volume_claim_templates:
                self._stateful_set(at_s, stateful, gone=new is None)
            case PersistentVolumeClaim() as claim:
                self._claim(at_s, claim, made=old is None, gone=new is None)
            case Pod() as pod if (owner := controller(pod)) is not None and owner.kind == "StatefulSet":
                if leading and old is None:
                    self._made(pod, owner)
                elif leading and is_available(old) and (new is None or is_going(new)):
                    self._taken(old, owner)

    def orphan(self, stateful: Any) -> None:
        self._orphaned.add(stateful.metadata.uid)

    def present(self, namespace: str) -> set[str]:
        return {each.metadata.name for each in self._of(PersistentVolumeClaim) if each.metadata.namespace == namespace}

    def left(self) -> list[str]:
        """What is not as it should be once everything has settled."""
        found = []
        for (namespace, name), past in self._pasts.items():
            present = {claim for claim in self.present(namespace) if _set_of(claim) == name}
            needed = set() if past.gone else {f"{DATA}-{name}-{number}" for number in range(asked(past.stateful))}
            found += [f"claim {claim} is not there" for claim in sorted(needed - present)]
            must_go = past.policy("when_deleted") == "Delete" and past.stateful.metadata.uid not in self._orphaned
            if past.gone and must_go:
                found += [f"claim {claim} is still there, its StatefulSet is gone" for claim in sorted(present)]
        return found

    def _stateful_set(self, at_s: float, stateful: StatefulSet, *, gone: bool) -> None:
        key = stateful.metadata.namespace, stateful.metadata.name
        past = self._pasts.setdefault(key, Past(stateful))
        past.rolled |= past.stateful.spec.template != stateful.spec.template
        past.stateful, past.gone = stateful, gone
        if not past.since or past.since[-1].count != asked(stateful):
            past.since.append(Asked(at_s, asked(stateful)))

    def _claim(self, at_s: float, claim: PersistentVolumeClaim, *, made: bool, gone: bool) -> None:
        name = claim.metadata.name
        past = self._pasts.get((claim.metadata.namespace, _set_of(name)))
        if past is None or not name.startswith(f"{DATA}-"):
            self._fail("claims", f"{name} is the claim of no StatefulSet")
        elif made and ordinal(name) >= max(past.counts(at_s - STALE_S)):
            self._fail("claims", f"{name} is made, asked for are {past.counts(at_s - STALE_S)} pods")
        elif gone:
            self._gone(at_s, claim, past)
        elif _is_of_pod(claim) and ordinal(name) >= min(past.counts(at_s - STALE_S)):
            self._condemned.add(claim.metadata.uid)

    def _gone(self, at_s: float, claim: PersistentVolumeClaim, past: Past) -> None:
        name, counts = claim.metadata.name, past.counts(at_s - STALE_S)
        away = ordinal(name) >= min(counts) or (_is_of_pod(claim) and claim.metadata.uid in self._condemned)
        scaled = past.policy("when_scaled") == "Delete" and away
        deleted = past.policy("when_deleted") == "Delete" and past.goes
        if not scaled and not deleted:
            self._fail("claims", f"{name} goes, though it is to be kept: {counts} pods asked for")
        if past.goes:
            return
        for pod in self._of(Pod):
            if pod.metadata.name == name.removeprefix(f"{DATA}-") and not is_going(pod):
                self._fail("claims", f"{name} goes while its pod {pod.metadata.uid} is there to stay")

    def _made(self, pod: Pod, owner: Any) -> None:
        past = self._past(pod, owner)
        if past is None or (past.goes and past.policy("when_deleted") == "Delete"):
            return  # its claim may be gone already
        if self._claim_of(pod) is None:
            self._fail("claims", f"{pod.metadata.name} is made before its claim")

    def _taken(self, pod: Pod, owner: Any) -> None:
        """A leader has taken an available pod away: where no rollout asks for that, and nothing else, it is one too
        many."""
        past, claim = self._past(pod, owner), self._claim_of(pod)
        if past is None or past.rolled or past.goes or has_to_go(pod) or claim is None:
            return
        if past.policy("when_scaled") == "Delete" and pod.metadata.uid not in owners(claim):
            self._fail("claims", f"{pod.metadata.name} is scaled away, and {claim.metadata.name} would stay")

    def _past(self, pod: Pod, owner: Any) -> Past | None:
        past = self._pasts.get((pod.metadata.namespace, owner.name))
        return past if past is not None and past.stateful.metadata.uid == owner.uid else None

    def _claim_of(self, pod: Pod) -> Any:
        return self._objects.get(CLAIM.key(pod.metadata.namespace, f"{DATA}-{pod.metadata.name}"))


def _is_of_pod(claim: PersistentVolumeClaim) -> bool:
    return any(owner.kind == "Pod" for owner in claim.metadata.owner_references)


def _set_of(claim: str) -> str:
    """The name of the claim's StatefulSet."""
    return claim.removeprefix(f"{DATA}-").rpartition("-")[0]

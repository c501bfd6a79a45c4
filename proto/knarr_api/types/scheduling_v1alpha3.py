"""Values of k8s.io.api.scheduling.v1alpha3.

Generated from knarr_proto/k8s/scheduling_v1alpha3.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec


class WorkloadPodGroupDisruptionMode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.scheduling.v1alpha3.WorkloadPodGroupDisruptionMode"""


class WorkloadPodGroupSchedulingPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingPolicy"""


class WorkloadPodGroupResourceClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.scheduling.v1alpha3.WorkloadPodGroupResourceClaim"""


class WorkloadPodGroupSchedulingConstraints(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.scheduling.v1alpha3.WorkloadPodGroupSchedulingConstraints"""

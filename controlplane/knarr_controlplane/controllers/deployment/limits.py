"""How many pods a rollout may have above, and must have available below, the asked number. Pure."""

from __future__ import annotations

from knarr_api.types.apps_v1 import Deployment

RECREATE = "Recreate"
DEFAULT = "25%"


def desired(deployment: Deployment) -> int:
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def is_recreate(deployment: Deployment) -> bool:
    strategy = deployment.spec.strategy
    return strategy is not None and strategy.type == RECREATE


def max_surge(deployment: Deployment) -> int:
    return 0 if is_recreate(deployment) else _fenceposts(deployment)[0]


def max_unavailable(deployment: Deployment) -> int:
    """At most the asked number."""
    replicas = desired(deployment)
    if is_recreate(deployment) or replicas == 0:
        return 0
    return min(_fenceposts(deployment)[1], replicas)


def _fenceposts(deployment: Deployment) -> tuple[int, int]:
    """Percentages of surge are rounded up, of unavailability down; both 0 would never move, so then one may be missing.

    Source: Kubernetes API, apps/v1 RollingUpdateDeployment.
    """
    strategy = deployment.spec.strategy
    rolling = strategy.rolling_update if strategy is not None else None
    surge_given = rolling.max_surge if rolling is not None else None
    unavailable_given = rolling.max_unavailable if rolling is not None else None
    replicas = desired(deployment)
    surge = absolute(DEFAULT if surge_given is None else surge_given, replicas, round_up=True)
    unavailable = absolute(DEFAULT if unavailable_given is None else unavailable_given, replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def absolute(value: int | str, total: int, *, round_up: bool) -> int:
    """A number, or a percentage of ``total``."""
    if isinstance(value, int):
        return max(0, value)
    text = value.removesuffix("%")
    if not text.isascii() or not text.isdecimal():
        return 0
    product = int(text) * total
    return -(-product // 100) if round_up else product // 100

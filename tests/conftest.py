"""What all tests share: how properties are searched.

Every run tries the same examples, and none of them is held against the clock: a test that was green yesterday is red
today only for what was changed, and not for who else uses the machine. To look for new examples:
``./dev test --hypothesis-profile=explore tests/unit``.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("same")

"""The controllers: each drives one part of the world towards what its objects ask for.

Each is a package with a pure module that decides (``decide``, ``health``, ``scaling``, …) and a controller that reads
from the shared informers, asks it, and writes. Every write compares on the revision read or is tied to a uid, names
are deterministic, and a world that is as it should be causes no write at all.

``run`` starts them all; only the leader (:mod:`knarr_controlplane.leader`) may.
"""

from knarr_controlplane.controllers.manager import run
from knarr_controlplane.controllers.settings import ControllerSettings

__all__ = ["ControllerSettings", "run"]

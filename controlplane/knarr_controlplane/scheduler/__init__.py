"""The scheduler: gives every pod without a node one, or says why it can't.

Filter, then score, then bind, vectorised over columns of nodes. The parts: ``columns`` (the cluster in numpy),
``framework`` (what a plugin is, and the pure decision), ``plugins`` (one file each), ``queue`` (who is next),
``scheduler`` (the loop). Verdicts are values; what a user reads is made of them.
"""

from knarr_controlplane.scheduler.scheduler import Scheduler, SchedulerSettings, run

__all__ = ["Scheduler", "SchedulerSettings", "run"]

"""Jobs made by hand. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knarr_cli.cells import at

INSTANTIATED = "cronjob.kubernetes.io/instantiate"


def from_cron_job(cron_job: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A Job of a CronJob's template, owned by it; its schedule does not mind it."""
    template = at(cron_job, "spec.jobTemplate", {})
    metadata = {
        "name": name,
        "namespace": at(cron_job, "metadata.namespace"),
        "labels": at(template, "metadata.labels", {}),
        "annotations": {**at(template, "metadata.annotations", {}), INSTANTIATED: "manual"},
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "name": at(cron_job, "metadata.name"),
                "uid": at(cron_job, "metadata.uid"),
                "controller": True,
            }
        ],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template.get("spec", {})}

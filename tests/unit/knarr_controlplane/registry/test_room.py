"""Objects of too many containers."""

from __future__ import annotations

import pytest

from knarr_api.errors import Invalid
from knarr_api.types.apps_v1 import Deployment, DeploymentSpec
from knarr_api.types.batch_v1 import CronJob, CronJobSpec, JobSpec, JobTemplateSpec
from knarr_api.types.core_v1 import ConfigMap, Container, EnvVar, Pod, PodSpec, PodTemplateSpec
from knarr_controlplane.registry import room


def spec(number: int, **container: object) -> PodSpec:
    return PodSpec(containers=tuple(Container(name=f"c{each}", image="x", **container) for each in range(number)))  # type: ignore[arg-type]


def test_containers_are_counted_wherever_a_pod_is_described() -> None:
    template = PodTemplateSpec(spec=spec(3))
    job = JobTemplateSpec(spec=JobSpec(template=template))
    assert room.containers(Pod(spec=spec(2))) == 2
    assert room.containers(Deployment(spec=DeploymentSpec(template=template))) == 3
    assert room.containers(CronJob(spec=CronJobSpec(job_template=job))) == 3
    assert room.containers(ConfigMap()) == 0


def test_too_many_and_too_much_is_refused_before_anything_else() -> None:
    room.check_number(Pod(spec=spec(10_000)))
    with pytest.raises(Invalid, match="20000 containers take more: at most 10000 can fit"):
        room.check_number(Deployment(spec=DeploymentSpec(template=PodTemplateSpec(spec=spec(20_000)))))
    room.check_size(Pod(spec=spec(1_000)))
    large = (EnvVar(name="A", value="x" * 4000),)
    with pytest.raises(Invalid, match="with its 500 containers' defaults it has 2"):
        room.check_size(Pod(spec=spec(500, env=large)))

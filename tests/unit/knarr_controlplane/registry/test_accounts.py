"""Pods' ServiceAccounts at admission, and the tokens made for them."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from knarr_api import errors, json, kinds
from knarr_api.types.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from knarr_api.types.core_v1 import LocalObjectReference, Namespace, Pod, ServiceAccount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.pki.account_tokens import ISSUER, AccountTokens
from knarr_controlplane.pki.authority import Authority
from knarr_controlplane.registry.accounts import MOUNT_PATH
from knarr_controlplane.server.accounts import AccountAuthority

replace = msgspec.structs.replace
ACCOUNT, POD = kinds.of(ServiceAccount), kinds.of(Pod)


def pod(name="p", **spec):
    document = {"containers": [{"name": "c", "image": "web:1"}], **spec}
    return json.from_builtins({"metadata": {"name": name, "namespace": "default"}, "spec": document}, Pod)


def account(name, **fields):
    return ServiceAccount(metadata=ObjectMeta(name=name, namespace="default"), **fields)


@pytest.fixture
def authority(registry, time, tmp_path):
    return AccountAuthority(registry, AccountTokens(Authority.open(tmp_path / "pki", time.now)), time)


async def test_a_pod_runs_as_default_and_gets_its_token(registry):
    made = (await registry.create(pod())).value()
    assert made.spec.service_account_name == made.spec.service_account == "default"
    (volume,) = made.spec.volumes
    assert volume.name.startswith("kube-api-access-")
    token, ca, namespace = volume.projected.sources
    assert (token.service_account_token.path, token.service_account_token.expiration_seconds) == ("token", 3607)
    assert ca.config_map.name == "kube-root-ca.crt"
    assert namespace.downward_api.items[0].path == "namespace"
    (mount,) = made.spec.containers[0].volume_mounts
    assert (mount.name, mount.mount_path, mount.read_only) == (volume.name, MOUNT_PATH, True)


async def test_a_namespace_has_its_account_from_the_first_moment(registry):
    await registry.create(Namespace(metadata=ObjectMeta(name="new")))
    made = registry.get(ACCOUNT, "new", "default").value()
    assert made.metadata.uid


async def test_an_account_that_is_not_there_is_refused(registry):
    with pytest.raises(errors.Forbidden) as refused:
        await registry.create(pod(serviceAccountName="robot"))
    assert str(refused.value) == (
        'pods "p" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found'
    )


async def test_the_account_says_whether_and_brings_its_secrets(registry):
    secrets = (LocalObjectReference(name="registry"),)
    await registry.create(account("robot", automount_service_account_token=False, image_pull_secrets=secrets))
    made = (await registry.create(pod(serviceAccountName="robot"))).value()
    assert made.spec.volumes == () and made.spec.image_pull_secrets == secrets
    wanted = (await registry.create(pod("q", serviceAccountName="robot", automountServiceAccountToken=True))).value()
    assert len(wanted.spec.volumes) == 1


async def test_a_container_that_has_something_there_keeps_it(registry):
    mounts = [{"name": "own", "mountPath": MOUNT_PATH}]
    container = {"name": "c", "image": "web:1", "volumeMounts": mounts}
    made = (await registry.create(pod(containers=[container], volumes=[{"name": "own", "emptyDir": {}}]))).value()
    assert [volume.name for volume in made.spec.volumes] == ["own"]


async def test_a_bound_token_lives_as_long_as_its_pod(registry, authority, time):
    made = await registry.create(pod())
    bound = BoundObjectReference(api_version="v1", kind="Pod", name="p", uid=made.uid)
    answer = authority.issue("default", "default", TokenRequest(spec=TokenRequestSpec(bound_object_ref=bound)))
    assert answer.spec.audiences == (ISSUER,)
    assert answer.status.expiration_timestamp == time.now + datetime.timedelta(hours=1)
    caller = authority.identify(answer.status.token)
    assert caller.name == "system:serviceaccount:default:default"
    assert caller.groups == {"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}
    assert not caller.is_admin and not caller.node_name
    await registry.delete(POD, "default", "p", grace_s=0)
    with pytest.raises(errors.Unauthenticated, match="does not exist any more"):
        authority.identify(answer.status.token)


async def test_a_token_for_others_is_none_for_the_api(registry, authority, time):
    answer = authority.issue("default", "default", TokenRequest(spec=TokenRequestSpec(audiences=("vault",))))
    with pytest.raises(errors.Unauthenticated, match="the token is for vault"):
        authority.identify(answer.status.token)
    user, audiences = authority.review(answer.status.token, ("vault", "other"))
    assert (user.username, audiences) == ("system:serviceaccount:default:default", ("vault",))
    time.now += datetime.timedelta(hours=2)
    with pytest.raises(errors.Unauthenticated, match="expired"):
        authority.review(answer.status.token, ("vault",))


async def test_requests_that_can_not_be(registry, authority):
    def ask(**spec):
        authority.issue("default", "default", TokenRequest(spec=TokenRequestSpec(**spec)))

    with pytest.raises(errors.Invalid, match="less than 10 minutes"):
        ask(expiration_seconds=60)
    with pytest.raises(errors.NotFound):
        ask(bound_object_ref=BoundObjectReference(api_version="v1", kind="Pod", name="gone"))
    await registry.create(pod())
    with pytest.raises(errors.Conflict, match="UID"):
        ask(bound_object_ref=BoundObjectReference(api_version="v1", kind="Pod", name="p", uid="other"))

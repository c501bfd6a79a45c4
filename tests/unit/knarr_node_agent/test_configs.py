"""What CRI is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    AppArmorProfile,
    Capabilities,
    Container,
    ContainerPort,
    Pod,
    PodDNSConfig,
    PodDNSConfigOption,
    PodSecurityContext,
    PodStatus,
    ResourceRequirements,
    SeccompProfile,
    SecurityContext,
    SELinuxOptions,
)
from knarr_node_agent.configs import (
    HostMount,
    Resolver,
    cgroup_parent,
    container_config,
    dns_config,
    pod_resources,
    quota_us,
    read_resolver,
    sandbox_config,
    shares,
)
from knarr_node_agent.runtime import Image
from knarr_proto.cri import api_pb2 as cri

MakePod = Callable[..., Pod]
NODE = Resolver(servers=("192.0.2.53",), searches=("example.org",), options=("ndots:1",))


def configured(pod: Pod, *, image: Image | None = None, variables: dict[str, str] | None = None) -> Any:
    return container_config(
        pod, pod.spec.containers[0], 2, variables or {}, (), image=image or Image("sha256:1"), memory_bytes=1 << 30
    )


@pytest.mark.parametrize(("milli", "expected"), [(0, 2), (1, 2), (100, 102), (1000, 1024), (500_000, 262144)])
def test_shares_as_the_kubelet_counts_them(milli: int, expected: int) -> None:
    assert shares(milli) == expected


@pytest.mark.parametrize(("milli", "expected"), [(0, 0), (1, 1000), (250, 25_000), (2000, 200_000)])
def test_quota_as_the_kubelet_counts_it(milli: int, expected: int) -> None:
    assert quota_us(milli) == expected


@pytest.mark.parametrize(
    ("qos", "parent", "score"),
    [
        ("Guaranteed", "kubepods/podu1", -997),
        ("Burstable", "kubepods/burstable/podu1", 750),
        ("BestEffort", "kubepods/besteffort/podu1", 1000),
    ],
)
def test_quality_of_service_decides_cgroup_and_oom_score(a_pod: MakePod, qos: str, parent: str, score: int) -> None:
    requests = {"memory": Quantity("256Mi"), "cpu": Quantity("100m")}
    limits = {"memory": Quantity("512Mi"), "cpu": Quantity("1")}
    container = Container(name="main", resources=ResourceRequirements(requests=requests, limits=limits))
    pod = msgspec.structs.replace(a_pod(container), status=PodStatus(qos_class=qos))
    assert cgroup_parent(pod) == parent
    resources = configured(pod).linux.resources
    assert resources.oom_score_adj == score
    assert (resources.cpu_shares, resources.cpu_quota, resources.cpu_period) == (102, 100_000, 100_000)
    assert resources.memory_limit_in_bytes == 512 << 20


def test_pod_has_a_limit_only_where_all_its_containers_have_one(a_pod: MakePod) -> None:
    def container(name: str, **limits: str) -> Container:
        amounts = {key: Quantity(value) for key, value in limits.items()}
        return Container(name=name, resources=ResourceRequirements(limits=amounts, requests=amounts))

    both = pod_resources(a_pod(container("a", cpu="1", memory="1Gi"), container("b", cpu="500m", memory="1Gi")))
    assert (both.cpu_quota, both.memory_limit_in_bytes, both.cpu_shares) == (150_000, 2 << 30, 1536)
    one = pod_resources(a_pod(container("a", cpu="1", memory="1Gi"), container("b", cpu="500m")))
    assert (one.cpu_quota, one.memory_limit_in_bytes) == (150_000, 0)


def test_names_labels_and_arguments(a_pod: MakePod) -> None:
    container = Container(name="main", image="busybox", command=("sh", "-c"), args=("echo $(WHO)",))
    config = configured(a_pod(container), variables={"WHO": "you"})
    assert list(config.command) == ["sh", "-c"]
    assert list(config.args) == ["echo you"]
    assert config.metadata.attempt == 2
    assert config.log_path == "main/2.log"
    assert config.labels["io.kubernetes.pod.uid"] == "u1"
    assert config.labels["io.kubernetes.container.name"] == "main"
    assert config.linux.security_context.seccomp.profile_type == cri.RuntimeDefault
    assert "/proc/kcore" in config.linux.security_context.masked_paths


def test_security_context_of_the_container_wins_over_the_pods(a_pod: MakePod) -> None:
    own = SecurityContext(
        run_as_user=1000,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=Capabilities(add=("NET_ADMIN",), drop=("ALL",)),
        seccomp_profile=SeccompProfile(type="Unconfined"),
    )
    of_pod = PodSecurityContext(run_as_user=1, run_as_group=2, fs_group=3, supplemental_groups=(4,))
    config = configured(a_pod(Container(name="main", security_context=own), security_context=of_pod))
    context = config.linux.security_context
    assert (context.run_as_user.value, context.run_as_group.value) == (1000, 2)
    assert sorted(context.supplemental_groups) == [3, 4]
    assert context.no_new_privs
    assert context.readonly_rootfs
    assert list(context.capabilities.drop_capabilities) == ["ALL"]
    assert context.seccomp.profile_type == cri.Unconfined


@pytest.mark.parametrize(
    ("image", "user", "name"),
    [(Image("sha256:1"), 0, ""), (Image("sha256:1", user_id=7), 7, ""), (Image("sha256:1", user_name="www"), 0, "www")],
)
def test_a_group_alone_goes_with_the_images_user(a_pod: MakePod, image: Image, user: int, name: str) -> None:
    of_pod = PodSecurityContext(run_as_group=2, supplemental_groups_policy="Strict")
    context = configured(a_pod(Container(name="main"), security_context=of_pod), image=image).linux.security_context
    assert (context.run_as_group.value, context.run_as_user.value, context.run_as_username) == (2, user, name)
    assert context.HasField("run_as_user") == (not name)
    assert context.supplemental_groups_policy == cri.Strict


@pytest.mark.parametrize(
    ("user", "image", "refused"),
    [
        (0, Image("i"), "breaks non-root policy"),
        (None, Image("i", user_id=0), "will run as root"),
        (None, Image("i"), "will run as root"),
        (None, Image("i", user_name="app"), "non-numeric user"),
        (None, Image("i", user_id=7), ""),
        (7, Image("i", user_id=0), ""),
    ],
)
def test_run_as_non_root_is_checked(a_pod: MakePod, user: int | None, image: Image, refused: str) -> None:
    pod = a_pod(security_context=PodSecurityContext(run_as_non_root=True, run_as_user=user))
    if not refused:
        configured(pod, image=image)
        return
    with pytest.raises(Invalid, match=refused):
        configured(pod, image=image)


def test_resolver_is_the_nodes_with_what_the_pod_adds(a_pod: MakePod) -> None:
    assert read_resolver("# x\nnameserver 192.0.2.53\nsearch example.org # y\noptions ndots:1\n") == NODE
    added = PodDNSConfig(
        nameservers=("192.0.2.54",), searches=("b",), options=(PodDNSConfigOption(name="ndots", value="5"),)
    )
    config = dns_config(a_pod(dns_config=added), NODE)
    assert list(config.servers) == ["192.0.2.53", "192.0.2.54"]
    assert list(config.searches) == ["example.org", "b"]
    assert list(config.options) == ["ndots:5"]
    assert list(dns_config(a_pod(dns_policy="None", dns_config=added), NODE).servers) == ["192.0.2.54"]


def test_sandbox_of_a_pod(a_pod: MakePod) -> None:
    container = Container(name="main", ports=(ContainerPort(container_port=80, host_port=8080, protocol="TCP"),))
    config = sandbox_config(a_pod(container, host_pid=True), 1, "/logs", NODE)
    assert (config.metadata.uid, config.metadata.attempt, config.hostname) == ("u1", 1, "web")
    assert config.linux.security_context.namespace_options.pid == cri.NODE
    assert config.linux.security_context.namespace_options.network == cri.POD
    assert [(p.container_port, p.host_port) for p in config.port_mappings] == [(80, 8080)]
    shared = sandbox_config(a_pod(container, host_network=True), 1, "/logs", NODE)
    assert shared.hostname == ""
    assert not shared.port_mappings


def test_a_pod_with_users_of_its_own_maps_them_everywhere(a_pod: MakePod) -> None:
    pod = a_pod(host_users=False)
    expected = [cri.IDMapping(host_id=131072, container_id=0, length=65536)]
    sandbox = sandbox_config(pod, 0, "/logs", NODE, 131072).linux.security_context.namespace_options
    mounts = (HostMount("/host/data", "/data", readonly=False),)
    image = Image("sha256:1")
    config = container_config(pod, pod.spec.containers[0], 0, {}, mounts, image=image, memory_bytes=1, users=131072)
    for options in (sandbox, config.linux.security_context.namespace_options):
        assert options.userns_options.mode == cri.POD
        assert list(options.userns_options.uids) == list(options.userns_options.gids) == expected
    assert list(config.mounts[0].uidMappings) == list(config.mounts[0].gidMappings) == expected


def test_profiles_and_labels_of_the_container_come_before_the_pods(a_pod: MakePod) -> None:
    own = SecurityContext(app_armor_profile=AppArmorProfile(type="Localhost", localhost_profile="mine"))
    of_pod = PodSecurityContext(
        app_armor_profile=AppArmorProfile(type="Unconfined"), se_linux_options=SELinuxOptions(level="s0:c1")
    )
    pod = a_pod(Container(name="main", image="x", security_context=own), security_context=of_pod)
    context = configured(pod).linux.security_context
    assert context.apparmor == cri.SecurityProfile(profile_type=cri.Localhost, localhost_ref="mine")
    assert context.selinux_options == cri.SELinuxOption(level="s0:c1")
    sandbox = sandbox_config(pod, 0, "/logs", NODE).linux.security_context
    assert sandbox.selinux_options == cri.SELinuxOption(level="s0:c1")
    plain = configured(a_pod()).linux.security_context
    assert not plain.HasField("apparmor") and not plain.HasField("selinux_options")


def test_huge_pages_are_named_as_the_kernel_does(a_pod: MakePod) -> None:
    limits = {"hugepages-2Mi": Quantity("6Mi"), "hugepages-1Gi": Quantity("1Gi"), "cpu": Quantity("1")}
    container = Container(name="main", image="x", resources=ResourceRequirements(limits=limits))
    given = configured(a_pod(container)).linux.resources.hugepage_limits
    assert {(one.page_size, one.limit) for one in given} == {("2MB", 6 << 20), ("1GB", 1 << 30)}

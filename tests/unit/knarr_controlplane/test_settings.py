"""What a control plane can be told on its command line."""

from __future__ import annotations

import pytest

from knarr_controlplane import settings

REQUIRED = ("--data-dir", "/nowhere")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--heartbeat", "nan"), "--heartbeat nan: must be a number of seconds above 0"),
        (("--node-grace", "nan"), "--node-grace nan: must be a number of seconds above 0"),
        (("--node-grace", "inf"), "--node-grace inf: must be a number of seconds above 0"),
        (("--retention", "0"), "--retention 0: must be a number of seconds above 0"),
        (("--retention", "-1"), "--retention -1: must be a number of seconds above 0"),
        (("--retention", "nan"), "--retention nan: must be a number of seconds above 0"),
        (("--node-grace", "3", "--heartbeat", "2"), "--node-grace 3: must be at least twice the heartbeat (2)"),
        (("--eviction-toleration", "-5"), "--eviction-toleration -5: must not be negative"),
        (("--cluster-cidr", "10.244.0.1/16"), "10.244.0.1/16 has host bits set"),
        (("--cluster-cidr", "10.244.0.0/30"), '--cluster-cidr "10.244.0.0/30": a node gets a /24 of it'),
        (("--cluster-cidr", "fd00::/48"), '--cluster-cidr "fd00::/48": expected a range of IPv4 addresses'),
        (("--peer", "other"), '--peer "other": expected HOST:PORT'),
        (("--advertise", "192.0.2.1"), '--advertise "192.0.2.1": expected HOST:PORT'),
        (("--advertise", ":6443"), '--advertise ":6443": expected HOST:PORT'),
    ],
)
def test_what_can_not_be_is_refused_by_its_name(
    capsys: pytest.CaptureFixture[str], given: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        settings.parse([*REQUIRED, *given])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_one_range_of_a_node_is_enough() -> None:
    assert settings.parse([*REQUIRED, "--cluster-cidr", "10.0.3.0/24"]).cluster_cidr == "10.0.3.0/24"

"""The wire format is Kubernetes' own: numbers, presence, and what JSON and protobuf express differently."""

from __future__ import annotations

import datetime
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import any_pb2

import knarr_proto.k8s
from knarr_api import json, time, wire
from knarr_api.errors import Invalid
from knarr_api.types import apiextensions_v1, coordination_v1, core_v1, meta_v1, metrics_v1beta1, networking_v1

SCHEMA = sorted(Path(knarr_proto.k8s.__path__[0]).glob("*.proto"))
FIELD = re.compile(r"^  (?:optional |repeated |required )?(map<[^>]+>|\S+) (\w+) = (\d+);$")


@pytest.mark.parametrize("path", SCHEMA, ids=lambda path: path.stem)
def test_numbers_are_those_of_the_schema(path: Path) -> None:
    module = importlib.import_module(f"knarr_proto.k8s.{path.stem}_pb2")
    written: dict[str, dict[str, int]] = {}
    fields: dict[str, int] = {}
    for line in path.read_text().splitlines():
        if message := re.match(r"^message (\w+) \{", line):
            fields = written.setdefault(message[1], {})
        elif field := FIELD.match(line):
            fields[field[2]] = int(field[3])
    messages = module.DESCRIPTOR.message_types_by_name
    assert written == {name: {f.name: f.number for f in d.fields} for name, d in messages.items()}


@pytest.mark.parametrize(
    ("message", "field", "number"),
    [
        ("core_v1.Pod", "metadata", 1),
        ("core_v1.Pod", "status", 3),
        ("core_v1.PodSpec", "containers", 2),
        ("core_v1.PodSpec", "nodeName", 10),
        ("core_v1.PodSpec", "initContainers", 20),
        ("core_v1.PodSpec", "tolerations", 22),
        ("core_v1.Container", "image", 2),
        ("core_v1.Container", "resources", 8),
        ("core_v1.Container", "envFrom", 19),
        ("core_v1.Secret", "data", 2),
        ("meta_v1.ObjectMeta", "creationTimestamp", 8),
        ("meta_v1.ObjectMeta", "ownerReferences", 13),
        ("apps_v1.DeploymentSpec", "template", 3),
        ("apps_v1.DeploymentStatus", "availableReplicas", 4),
        ("intstr.IntOrString", "strVal", 3),
        ("runtime.Unknown", "raw", 2),
    ],
)
def test_well_known_numbers(message: str, field: str, number: int) -> None:
    module, _, name = message.partition(".")
    descriptor = importlib.import_module(f"knarr_proto.k8s.{module}_pb2").DESCRIPTOR.message_types_by_name[name]
    assert descriptor.fields_by_name[field].number == number


def test_bytes_are_those_of_kubernetes() -> None:
    pod = core_v1.Pod(metadata=meta_v1.ObjectMeta(name="a", labels={"k": "v"}))
    assert wire.to_message(pod).SerializeToString().hex(" ") == "0a 0b 0a 01 61 5a 06 0a 01 6b 12 01 76"


def test_inlined_messages_stand_in_their_own_message_on_the_wire() -> None:
    volume = core_v1.Volume(name="v", empty_dir=core_v1.EmptyDirVolumeSource())
    message: Any = wire.to_message(volume)
    assert message.volumeSource.HasField("emptyDir")
    assert wire.from_message(message, core_v1.Volume) == volume
    rule = networking_v1.IngressRule(host="h", http=networking_v1.HTTPIngressRuleValue())
    assert wire.to_message(rule).ByteSize() > len("h") + 2
    assert json.to_builtins(rule) == {"host": "h", "http": {}}
    assert wire.from_message(wire.to_message(rule), networking_v1.IngressRule) == rule


def test_micro_times_have_six_digits_and_times_none() -> None:
    moment = datetime.datetime(2026, 1, 31, 9, 0, 0, 250, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    lease = coordination_v1.Lease(
        metadata=meta_v1.ObjectMeta(creation_timestamp=moment),
        spec=coordination_v1.LeaseSpec(renew_time=moment, acquire_time=moment.replace(microsecond=0)),
    )
    assert json.to_builtins(lease)["metadata"] == {"creationTimestamp": "2026-01-31T08:00:00Z"}
    assert json.to_builtins(lease)["spec"] == {
        "acquireTime": "2026-01-31T08:00:00.000000Z",
        "renewTime": "2026-01-31T08:00:00.000250Z",
    }
    assert wire.from_message(wire.to_message(lease), coordination_v1.Lease) == lease
    assert json.decode(json.encode(lease), coordination_v1.Lease) == lease


def test_a_time_needs_its_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        meta_v1.ObjectMeta(creation_timestamp=datetime.datetime(2026, 1, 1))  # noqa: DTZ001


def test_an_empty_time_message_is_no_time() -> None:
    message: Any = wire.to_message(core_v1.Pod())
    message.metadata.creationTimestamp.SetInParent()
    pod = wire.from_message(message, core_v1.Pod)
    assert pod.metadata.creation_timestamp is None
    epoch = core_v1.Pod(metadata=meta_v1.ObjectMeta(creation_timestamp=time.parse("1970-01-01T00:00:00Z")))
    assert wire.from_message(wire.to_message(epoch), core_v1.Pod) == epoch


@pytest.mark.parametrize("seconds", [2**62, -(2**62)])
def test_impossible_times_are_refused(seconds: int) -> None:
    message: Any = wire.to_message(core_v1.Pod())
    message.metadata.creationTimestamp.seconds = seconds
    with pytest.raises(Invalid, match="out of range"):
        wire.from_message(message, core_v1.Pod)


def test_bad_parts_of_a_message_are_refused() -> None:
    message: Any = wire.to_message(core_v1.Pod())
    message.spec.overhead["cpu"].string = "many"
    with pytest.raises(Invalid, match='quantity "many"'):
        wire.from_message(message, core_v1.Pod)
    with pytest.raises(Invalid):
        wire.from_bytes(b"\xff", core_v1.Pod)


def test_values_without_a_wire_form_are_refused() -> None:
    with pytest.raises(Invalid, match="Pod has no protobuf form"):
        wire.to_message(core_v1.Pod(metadata=meta_v1.ObjectMeta(name="\ud800")))
    with pytest.raises(Invalid, match="PodSpec has no protobuf form"):
        wire.to_message(core_v1.PodSpec(priority=2**40))


def test_any_carries_its_type() -> None:
    node = core_v1.Node(metadata=meta_v1.ObjectMeta(name="n1"))
    packed = wire.to_any(node)
    assert packed.type_url == "type.googleapis.com/k8s.io.api.core.v1.Node"
    assert wire.from_any(packed, core_v1.Node) == node
    with pytest.raises(Invalid, match=r'"k8s.io.api.core.v1.Node", expected "k8s.io.api.core.v1.Pod"'):
        wire.from_any(packed, core_v1.Pod)
    with pytest.raises(Invalid):
        wire.from_any(any_pb2.Any(type_url=packed.type_url, value=b"\x0a\xff"), core_v1.Node)


def test_schemas_are_unions_in_json() -> None:
    document = {"items": [{"type": "string"}], "additionalProperties": False, "dependencies": {"a": ["b"], "c": {}}}
    schema = json.decode_strict(document, apiextensions_v1.JSONSchemaProps)
    assert json.to_builtins(wire.from_message(wire.to_message(schema), type(schema))) == document


def test_durations_are_written_as_go_does() -> None:
    for given, canonical in (
        ("90s", "1m30s"),
        ("1.5h", "1h30m0s"),
        ("250000us", "250ms"),
        ("-2ms", "-2ms"),
        ("0", "0s"),
    ):
        metrics = metrics_v1beta1.NodeMetrics(window=given)
        assert wire.from_message(wire.to_message(metrics), metrics_v1beta1.NodeMetrics).window == canonical
    for bad in ("1", "h", "1x", "1h 2m", "", "9999999999h"):
        with pytest.raises(Invalid):
            time.duration_ns(bad)


def test_values_and_json_come_without_protobuf() -> None:
    program = (
        "import sys; from knarr_api import json, kinds, labels, fields, errors; from knarr_api.types import apps_v1;"
        "json.decode(b'{}', apps_v1.Deployment);"
        "sys.exit(any(name.startswith(('google', 'grpc', 'knarr_proto')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

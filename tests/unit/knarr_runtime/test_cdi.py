"""Reading descriptions of devices: what they add, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime import cdi
from knarr_runtime.errors import Invalid
from knarr_runtime.spec import ContainerSpec, Device, Mount, Rootfs, User


def described(directory: Path, file: str = "a.json", **more: Any) -> None:
    directory.mkdir(exist_ok=True)
    edits = more.pop("edits", {"env": ["ONE=1"]})
    value = {
        "cdiVersion": "0.7.0",
        "kind": "vendor.com/class",
        "devices": [{"name": "one", "containerEdits": edits}, {"name": "two", "containerEdits": {"env": ["TWO=2"]}}],
        **more,
    }
    (directory / file).write_text(json.dumps({key: item for key, item in value.items() if item is not None}))


def test_devices_and_their_file_add_once_each_in_order(tmp_path: Path) -> None:
    described(tmp_path, containerEdits={"env": ["ALL=0"], "additionalGids": [7, 0]})
    found = cdi.edits(("vendor.com/class=two", "vendor.com/class=one"), [tmp_path])
    assert found == cdi.Edits(env=("ALL=0", "TWO=2", "ONE=1"), groups=(7,))


def test_yaml_and_every_kind_of_edit(tmp_path: Path) -> None:
    (tmp_path / "lib").touch()
    (tmp_path / "a.yaml").write_text(f"""
cdiVersion: "0.5.0"
kind: vendor.com/class
annotations: {{any: thing}}
devices:
- name: "0:1"
  containerEdits:
    env: [A=b=c]
    deviceNodes:
    - {{path: /dev/mine, hostPath: /dev/null, type: c, major: 1, minor: 3, fileMode: 432, permissions: rw, gid: 44}}
    mounts:
    - {{hostPath: {tmp_path}/lib, containerPath: /lib/x/../x.so, options: [ro, nosuid, nodev, rbind, rslave]}}
    - {{hostPath: tmpfs, containerPath: /scratch, type: tmpfs, options: [size=64k]}}
""")
    assert cdi.edits(["vendor.com/class=0:1"], [tmp_path]) == cdi.Edits(
        env=("A=b=c",),
        devices=(Device(source="/dev/null", target="/dev/mine", access="rw", mode=0o660, gid=44),),
        mounts=(
            Mount(
                target="/lib/x.so",
                source=f"{tmp_path}/lib",
                readonly=True,
                propagation="rslave",
                options="nosuid,nodev",
            ),
            Mount(target="/scratch", kind="tmpfs", options="size=64k"),
        ),
    )


def test_a_later_directory_replaces_devices_of_an_earlier_one(tmp_path: Path) -> None:
    described(tmp_path / "static")
    described(tmp_path / "run", edits={"env": ["ONE=new"]})
    directories = [tmp_path / "static", tmp_path / "missing", tmp_path / "run"]
    assert cdi.edits(["vendor.com/class=one"], directories).env == ("ONE=new",)


def test_a_name_twice_in_one_directory_is_nobodys(tmp_path: Path) -> None:
    described(tmp_path)
    described(tmp_path, "b.json")
    with pytest.raises(Invalid, match=r"unresolvable CDI devices vendor\.com/class=one; .* more than once"):
        cdi.edits(["vendor.com/class=one"], [tmp_path])


def test_unknown_devices_are_named_as_users_know_it(tmp_path: Path) -> None:
    described(tmp_path)
    names = ("vendor.com/class=one", "vendor.com/class=none", "other/class=one")
    with pytest.raises(Invalid) as caught:
        cdi.edits(names, [tmp_path])
    expected = "CDI device injection failed: unresolvable CDI devices vendor.com/class=none, other/class=one"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cdiVersion": "9.0.0"}, "cdiVersion '9.0.0' is none of 0.3.0"),
        ({"cdiVersion": None}, "cdiVersion None"),
        ({"kind": "vendor"}, "kind 'vendor' must be written as VENDOR/CLASS"),
        ({"surprise": 1}, "the file: unknown field surprise"),
        ({"devices": [{"name": "a b"}]}, "devices: 'a b' is no name"),
        ({"devices": [{"name": "a"}, {"name": "a"}]}, "there twice"),
        ({"devices": {"name": "a"}}, "devices: must be a list"),
        ({"edits": {"env": ["NOVALUE"]}}, "env 'NOVALUE' must be written as NAME=VALUE"),
        ({"edits": {"deviceNodes": [{"hostPath": "/dev/null"}]}}, "path None must be a text"),
        ({"edits": {"deviceNodes": [{"path": "/dev/x", "major": "1"}]}}, "major '1' must be a number"),
        ({"edits": {"mounts": [{"hostPath": "/x"}]}}, "containerPath None must be a text"),
        ({"edits": {"additionalGids": [-1]}}, "additionalGids -1 must be a number"),
        ({"edits": []}, None),
        ({"edits": "text"}, "device one: must be an object"),
    ],
)
def test_a_file_that_is_wrong_says_why_and_takes_away_its_own_devices_only(
    tmp_path: Path, change: dict[str, Any], message: str | None
) -> None:
    described(tmp_path, **change)
    described(tmp_path, "good.json", kind="good/class")
    assert cdi.edits(["good/class=one"], [tmp_path]).env == ("ONE=1",)
    if message is None:
        return
    with pytest.raises(Invalid) as caught:
        cdi.edits(["vendor.com/class=one"], [tmp_path])
    assert message in str(caught.value) and "a.json: " in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "\x00", '{"kind": 1}'])
@pytest.mark.parametrize("end", ["json", "yaml"])
def test_no_file_stops_the_others(tmp_path: Path, text: str, end: str) -> None:
    (tmp_path / f"bad.{end}").write_text(text)
    described(tmp_path)
    assert cdi.edits(["vendor.com/class=one"], [tmp_path]).env == ("ONE=1",)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"hooks": [{"hookName": "prestart", "path": "/bin/x"}]}, "hooks are not supported: /bin/x would not be run"),
        ({"intelRdt": {"closID": "x"}}, "intelRdt are not supported"),
        ({"netDevices": [{"name": "eth9"}]}, "netDevices are not supported"),
        ({"deviceNodes": [{"path": "/dev/no-such"}]}, "/dev/no-such: No such file"),
        ({"deviceNodes": [{"path": "/dev/null", "major": 9, "minor": 9}]}, "/dev/null is 1:3, and should be 9:9"),
        ({"mounts": [{"hostPath": "/no/such", "containerPath": "/x"}]}, "/no/such does not exist"),
        ({"mounts": [{"hostPath": "/", "containerPath": "/x", "options": ["loud"]}]}, 'option "loud" is not known'),
        ({"mounts": [{"hostPath": "x", "containerPath": "/x", "type": "nfs"}]}, '"nfs" is neither bind nor tmpfs'),
    ],
)
def test_what_cannot_be_done_is_refused_when_it_is_asked_for(
    tmp_path: Path, edits: dict[str, Any], message: str
) -> None:
    described(tmp_path, edits=edits)
    assert cdi.edits(["vendor.com/class=two"], [tmp_path]).env == ("TWO=2",)
    with pytest.raises(Invalid) as caught:
        cdi.edits(["vendor.com/class=one"], [tmp_path])
    assert str(caught.value).startswith("CDI device vendor.com/class=one: ") and message in str(caught.value)


def test_names_come_from_the_field_and_from_annotations_once_each() -> None:
    annotations = {"cdi.k8s.io/plugin_1": "v/c=a, v/c=b", "other": "v/c=z"}
    assert cdi.requested(["v/c=b"], annotations) == ("v/c=b", "v/c=a")
    with pytest.raises(Invalid, match='CDI device "gpu0" must be written as VENDOR/CLASS=NAME'):
        cdi.requested([], {"cdi.k8s.io/x": "gpu0"})


def test_edits_replace_what_is_there_by_the_same_name() -> None:
    spec = ContainerSpec(
        id="a",
        sandbox_id="a",
        args=("x",),
        rootfs=Rootfs(lower=("/",)),
        env=("A=1", "B=2"),
        user=User(groups=(5,)),
        mounts=(Mount(target="/m/", source="/old"),),
        devices=(Device(source="/dev/null", target="/dev/x"),),
    )
    given = cdi.Edits(
        env=("A=9",),
        devices=(Device(source="/dev/zero", target="/dev/x"),),
        mounts=(Mount(target="/m", source="/new"),),
        groups=(5, 6),
    )
    found = cdi.apply(spec, given)
    assert (found.env, found.user.groups) == (("A=9", "B=2"), (5, 6))
    assert [mount.source for mount in found.mounts] == ["/new"]
    assert [device.source for device in found.devices] == ["/dev/zero"]

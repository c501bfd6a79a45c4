"""The configuration that comes of instructions."""

from __future__ import annotations

import json

import pytest

from knarr_runtime.build import imageconfig
from knarr_runtime.build.imageconfig import Draft, Layer
from knarr_runtime.errors import Invalid

LAYER = Layer(diff_id="sha256:" + "a" * 64, digest="sha256:" + "b" * 64, size=5)


def test_an_entrypoint_drops_the_command_of_the_base_but_not_ones_own() -> None:
    base = Draft(config={"Cmd": ["base"]})
    assert base.with_entrypoint(("x",), shell=False).list("Cmd") == ()
    own = base.with_command(("mine",), shell=True)
    assert own.with_entrypoint(("x",), shell=False).list("Cmd") == ("/bin/sh", "-c", "mine")


def test_working_directories_are_relative_to_each_other() -> None:
    draft = Draft().with_working_dir("a").with_working_dir("b/../c")
    assert draft.working_dir == "/a/c"
    assert draft.with_working_dir("/z").working_dir == "/z"


def test_environment_keeps_its_order() -> None:
    draft = Draft().with_env((("A", "1"), ("B", "2"))).with_env((("A", "3"),))
    assert draft.list("Env") == ("A=3", "B=2")


def test_ports() -> None:
    assert Draft().with_ports(("80", "53/UDP", "8000-8002/tcp")).config["ExposedPorts"] == {
        "53/udp": {},
        "80/tcp": {},
        "8000/tcp": {},
        "8001/tcp": {},
        "8002/tcp": {},
    }
    for wrong in ("x", "0", "70000", "2-1", "80/xyz"):
        with pytest.raises(Invalid, match="invalid containerPort"):
            Draft().with_ports((wrong,))


def test_history_and_layers_belong_together() -> None:
    draft = Draft(architecture="amd64").with_step("t", "RUN x", LAYER).with_step("t", "ENV a=1", None)
    document = json.loads(draft.document())
    assert document["rootfs"]["diff_ids"] == [LAYER.diff_id]
    assert [entry.get("empty_layer", False) for entry in document["history"]] == [False, True]


def test_what_is_written_can_be_read_as_a_base() -> None:
    draft = Draft(architecture="amd64", created="t").with_env((("A", "1"),)).with_step("t", "RUN x", LAYER)
    config = draft.document()
    again = imageconfig.read(config, imageconfig.manifest(draft, "sha256:" + "c" * 64, len(config)))
    assert again == draft
    with pytest.raises(Invalid, match="do not fit together"):
        imageconfig.read(config, b'{"layers": []}')

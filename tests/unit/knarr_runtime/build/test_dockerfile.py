"""Dockerfiles read, and what is said about those that are wrong."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given as check
from hypothesis import strategies as st

from knarr_runtime.build import dockerfile, instructions
from knarr_runtime.build.instructions import Arg, Command, Copy, Env, Healthcheck, Instruction, Label, Run
from knarr_runtime.errors import Invalid

T = TypeVar("T", bound=Instruction)


def one(text: str, kind: type[T]) -> T:
    parsed = dockerfile.parse(f"FROM x\n{text}".encode())
    (found,) = parsed.stages[0].instructions
    assert isinstance(found, kind)
    return found


def test_comments_continuations_and_case() -> None:
    run = one("  run echo a \\\n# a comment\n   # another\n\n    b \\  \n  c", Run)
    assert run.args == ("echo a     b   c",)
    assert one("RUN echo a # no comment", Run).args == ("echo a # no comment",)
    assert one("RUN echo \\\\", Run).args == ("echo \\\\",)


def test_directives() -> None:
    parsed = dockerfile.parse(b"# syntax=docker/dockerfile:1\n# ESCAPE = `\nFROM x\nRUN a `\n b\\\n")
    (run,) = parsed.stages[0].instructions
    assert isinstance(run, Run) and run.args == ("a  b\\",)
    assert "not fetched" in parsed.notes[0]
    late = dockerfile.parse(b"# a comment ends the directives\n# escape=`\nFROM x\nRUN a \\\n b\n")
    (run,) = late.stages[0].instructions
    assert isinstance(run, Run) and run.args == ("a  b",)


def test_json_and_shell_forms() -> None:
    assert one('RUN ["a", "b c"]', Run) == one('RUN ["a", "b c"]', Run)
    assert not one('RUN ["a", "b c"]', Run).shell
    assert one("RUN ['a']", Run).args == ("['a']",)
    assert one('CMD ["x"]', Command).args == ("x",)
    assert one("CMD", Command).args == ()
    assert one("ENTRYPOINT x y", Command).shell


def test_pairs() -> None:
    assert one('ENV a=1 b="x y" c=x\\ y', Env).pairs == (("a", "1"), ("b", '"x y"'), ("c", "x\\ y"))
    assert one("ENV a  hello   world ", Env).pairs == (("a", "hello   world"),)
    assert one('LABEL "com.x y"="z"', Label).pairs == (('"com.x y"', '"z"'),)
    assert one("ARG a=1 b", Arg).names == (("a", "1"), ("b", None))


def test_here_documents() -> None:
    run = one("RUN <<EOF\necho a\n# kept\nEOF\n", Run)
    assert run.line.heredocs[0].text == "echo a\n# kept\n"
    copy = one('COPY <<-A <<"B" c /d/\n\tx\n\tA\ny\nB\n', Copy)
    assert [(each.name, each.content, each.expand) for each in copy.inline] == [("A", "x\n", True), ("B", "y\n", False)]
    assert copy.sources == ("c",)
    assert one('RUN echo "<<EOF"', Run).line.heredocs == ()


def test_flags() -> None:
    copy = one("COPY --from=a --chown=1:2 --chmod=755 --link --exclude=*.md --exclude=x a b /c/", Copy)
    assert (copy.from_, copy.chown, copy.chmod, copy.exclude) == ("a", "1:2", "755", ("*.md", "x"))
    assert copy.sources == ("a", "b") and copy.target == "/c/"
    mount = one(
        "RUN --mount=type=cache,id=x,target=/c,sharing=locked --mount=type=tmpfs,dst=/t,size=1m true", Run
    ).mounts
    assert [(each.kind, each.target, each.sharing, each.size_bytes) for each in mount] == [
        ("cache", "/c", "locked", 0),
        ("tmpfs", "/t", "shared", 1 << 20),
    ]
    check_ = one("HEALTHCHECK --interval=1m30s --retries=3 CMD a b", Healthcheck)
    assert (check_.interval_ns, check_.retries, check_.test) == (90 * 10**9, 3, ("CMD-SHELL", "a b"))


def test_stages() -> None:
    parsed = dockerfile.parse(b"ARG V=1\nFROM a AS One\nRUN x\nFROM --platform=linux/amd64 b\n")
    assert [(stage.name, stage.base.image) for stage in parsed.stages] == [("one", "a"), ("", "b")]
    assert parsed.args[0].names == (("V", "1"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Dockerfile: file with no instructions"),
        ("# only a comment\n", "Dockerfile: file with no instructions"),
        ("ARG x", "Dockerfile: no build stage"),
        ("RUN x", "Dockerfile:1: no build stage in current context"),
        ("FORM x", r"Dockerfile:1: unknown instruction: FORM \(did you mean FROM\?\)"),
        ("FROM", "Dockerfile:1: FROM requires either one or three arguments"),
        ("FROM a b", "Dockerfile:1: FROM requires either one or three arguments"),
        ("FROM a AS 1x", "invalid name for build stage"),
        ("FROM a AS scratch", "reserved"),
        ("FROM a\n\n\nRUN", "Dockerfile:4: RUN requires at least one argument"),
        ("FROM a\nENV x", "ENV must have two arguments"),
        ("FROM a\nENV x=1 y", 'can\'t find = in "y"'),
        ("FROM a\nCOPY a", "COPY requires at least two arguments, but only 1 was provided"),
        ("FROM a\nCOPY --form=x a b", "unknown flag: --form of COPY"),
        ("FROM a\nCOPY --from a b", "missing a value on flag: --from"),
        ("FROM a\nRUN <<EOF\nx", "Dockerfile:2: unterminated heredoc EOF"),
        ("FROM a\nSHELL /bin/sh", "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nCMD [1]", "arrays must be comprised of strings only"),
        ("FROM a\nONBUILD ONBUILD RUN x", "chaining ONBUILD"),
        ("FROM a\nONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD RNU x", r"unknown instruction: RNU \(did you mean RUN\?\)"),
        ("FROM a\nHEALTHCHECK PING x", 'unknown type "PING" in HEALTHCHECK'),
        ("FROM a\nRUN --network=host x", "--network=host: is not allowed"),
        ("FROM a\nRUN --security=insecure x", "insecure: is not allowed"),
        ("FROM a\nRUN --mount=type=ssh x", "type=ssh: is not supported"),
        ("FROM a\nRUN --mount=type=cache x", "a target is needed"),
        ("FROM a\nRUN --mount=tpe=cache,target=/x x", 'unexpected key "tpe"'),
        ("# escape=x\nFROM a", "invalid escape token"),
        ("# escape=`\n# escape=`\nFROM a", "only one escape parser directive"),
        ("FROM a\nRUN \0", "Dockerfile:2: holds a NUL"),
        ("FROM a\nUSER a b", "USER requires exactly one argument"),
        ("FROM a\nVOLUME []", "VOLUME specified can not be an empty string"),
    ],
)
def test_errors_name_the_place(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        dockerfile.parse(text.encode())


@check(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        dockerfile.parse(b"FROM x\n" + data)
    except Invalid as error:
        assert str(error).startswith("Dockerfile:")


@check(st.lists(st.sampled_from(["RUN", "COPY", "<<EOF", "EOF", "\n", " ", "\\", "a", "=", '"', "[", "]", "--x", "#"])))
def test_any_pieces_are_read_or_refused(pieces: list[str]) -> None:
    try:
        parsed = dockerfile.parse(("FROM x\n" + "".join(pieces)).encode())
    except Invalid:
        return
    assert all(isinstance(each, instructions.Instruction) for each in parsed.stages[0].instructions)

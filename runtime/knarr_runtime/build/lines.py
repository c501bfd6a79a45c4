"""A Dockerfile's text cut into instructions: directives, comments, continuations and here-documents. Pure.

Source: Dockerfile reference, "Format", "Parser directives" and "Here-Documents".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from knarr_runtime.build import words
from knarr_runtime.errors import Invalid

MAX_BYTES = 1 << 20
MAX_INSTRUCTIONS = 5_000
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*\Z")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)\Z")
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heredoc:
    """name: the word that ends it. expand: it was not quoted. chomp: ``<<-``, leading tabs go."""

    name: str
    text: str
    expand: bool = True
    chomp: bool = False

    @property
    def content(self) -> str:
        return re.sub(r"^\t+", "", self.text, flags=re.MULTILINE) if self.chomp else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One instruction: keyword in capitals, its flags (``--x=y``), and the rest of it as written."""

    number: int
    keyword: str
    rest: str
    original: str
    flags: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    lines: tuple[Line, ...]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)


def read(data: bytes, name: str = "Dockerfile") -> Text:
    """Raises Invalid as ``name:line: what``."""
    if len(data) > MAX_BYTES:
        raise Invalid(f"{name}: has more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{name}:{data[: error.start].count(10) + 1}: not UTF-8 text") from None
    if "\0" in text:
        raise Invalid(f"{name}:{text[: text.index(chr(0))].count(chr(10)) + 1}: holds a NUL character")
    physical = [line.removesuffix("\r") for line in text.split("\n")]
    return _Cutting(physical, name).run()


class _Cutting:
    def __init__(self, physical: list[str], name: str) -> None:
        self.physical = physical
        self.name = name
        self.index = 0
        self.escape = "\\"

    def run(self) -> Text:
        directives = self._directives()
        found: list[Line] = []
        while self.index < len(self.physical):
            number = self.index + 1
            try:
                line = self._instruction()
            except Invalid as error:
                raise Invalid(f"{self.name}:{number}: {error}") from None
            if line is not None:
                found.append(line)
            if len(found) > MAX_INSTRUCTIONS:
                raise Invalid(f"{self.name}:{number}: more than {MAX_INSTRUCTIONS} instructions")
        if not found:
            raise Invalid(f"{self.name}: file with no instructions")
        return Text(lines=tuple(found), escape=self.escape, directives=directives)

    def _directives(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while self.index < len(self.physical):
            match = _DIRECTIVE.match(self.physical[self.index].strip())
            if match is None or match[1].lower() not in _DIRECTIVES:
                break
            key, value = match[1].lower(), match[2]
            where = f"{self.name}:{self.index + 1}"
            if key in found:
                raise Invalid(f"{where}: only one {key} parser directive can be used")
            if key == "escape":
                if value not in ("\\", "`"):
                    raise Invalid(f"{where}: invalid escape token '{value}' does not match ` or \\")
                self.escape = value
            found[key] = value
            self.index += 1
        return found

    def _instruction(self) -> Line | None:
        """The next one; None for a comment or an empty line."""
        number = self.index + 1
        first = self.physical[self.index].lstrip()
        self.index += 1
        if not first.strip() or first.startswith("#"):
            return None
        text, more = self._continued(first)
        while more and self.index < len(self.physical):
            following = self.physical[self.index]
            self.index += 1
            if not following.strip() or following.lstrip().startswith("#"):
                continue
            piece, more = self._continued(following)
            text += piece
        original = text.strip()
        keyword, _, rest = _partition(original)
        keyword = keyword.upper()
        heredocs = self._heredocs(keyword, rest)
        flags, rest = self._flags(rest) if keyword not in ("ENV", "LABEL", "ONBUILD") else ((), rest)
        return Line(number=number, keyword=keyword, rest=rest, original=original, flags=flags, heredocs=heredocs)

    def _continued(self, line: str) -> tuple[str, bool]:
        """The line without an escape at its end, and whether there was one; two of them are none."""
        bare = line.rstrip(" \t")
        if bare.endswith(self.escape) and not bare[:-1].endswith(self.escape):
            return bare[:-1], True
        return line, False

    def _heredocs(self, keyword: str, rest: str) -> tuple[Heredoc, ...]:
        if keyword == "ONBUILD":
            keyword, _, rest = _partition(rest)
            keyword = keyword.upper()
        if keyword not in _WITH_HEREDOCS or "<<" not in rest:
            return ()
        found: list[Heredoc] = []
        for word in words.raw_words(rest, self.escape):
            heredoc = opened(word, self.escape)
            if heredoc is not None:
                found.append(self._heredoc_body(heredoc))
        return tuple(found)

    def _heredoc_body(self, heredoc: Heredoc) -> Heredoc:
        body: list[str] = []
        while self.index < len(self.physical):
            line = self.physical[self.index]
            self.index += 1
            if (line.lstrip("\t") if heredoc.chomp else line) == heredoc.name:
                text = "".join(f"{one}\n" for one in body)
                return Heredoc(name=heredoc.name, text=text, expand=heredoc.expand, chomp=heredoc.chomp)
            body.append(line)
        raise Invalid(f"unterminated heredoc {heredoc.name}")

    def _flags(self, rest: str) -> tuple[tuple[str, ...], str]:
        """``--x=y`` words at the beginning; ``--`` alone ends them."""
        flags: list[str] = []
        while rest.startswith("--"):
            word, _, after = _partition_quoted(rest, self.escape)
            if word == "--":
                return tuple(flags), after
            flags.append(words.expand(word.replace("$", f"{self.escape}$"), {}, self.escape))
            rest = after
        return tuple(flags), rest


def opened(word: str, escape: str = "\\") -> Heredoc | None:
    """The here-document that ``word`` (``<<EOF``, ``<<-"EOF"``) opens, without its text; None if it is another word."""
    match = _HEREDOC.match(word)
    if match is None or not match[3]:
        return None
    try:
        names = words.expand_words(match[3].replace("$", f"{escape}$"), {}, escape)
    except Invalid:
        return None
    if len(names) != 1:
        return None
    return Heredoc(name=names[0], text="", expand=names[0] == match[3], chomp=bool(match[2]))


def _partition(text: str) -> tuple[str, str, str]:
    """First word, blanks, rest."""
    match = re.match(r"(\S*)(\s*)(.*)\Z", text, re.DOTALL)
    assert match is not None
    return match[1], match[2], match[3]


def _partition_quoted(text: str, escape: str) -> tuple[str, str, str]:
    first = words.raw_words(text, escape)[0]
    after = text[len(first) :]
    return first, "", after.lstrip()

"""Words of an instruction: quotes, escapes and variables as the Dockerfile reference defines them. Pure.

Quotes and the escape character work as in a shell; of a shell's expansions there are ``$x``, ``${x}``, ``${x:-y}``,
``${x-y}``, ``${x:+y}``, ``${x+y}``, ``${x:?y}``, ``${x?y}``, and ``#``, ``##``, ``%``, ``%%``, ``/``, ``//`` with
patterns of ``*`` and ``?``. Source: Dockerfile reference, "Environment replacement".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from knarr_runtime.errors import Invalid

MAX_DEPTH = 32
MAX_LENGTH = 1 << 20
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]|[@*#]")
_SPACE = " \t\r\n\v\f"


def expand(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """One value: quotes taken away, variables replaced; blanks stay. Raises Invalid."""
    return _Reader(text, variables, escape).whole()


def expand_words(text: str, variables: Mapping[str, str], escape: str = "\\") -> tuple[str, ...]:
    """As :func:`expand`, and what an unquoted variable holds is split at blanks. Raises Invalid."""
    return _Reader(text, variables, escape).split()


def expand_text(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """A here-document: variables are replaced, quotes and escapes stay. Raises Invalid."""
    return _Reader(text, variables, escape).text_only()


def raw_words(text: str, escape: str = "\\") -> tuple[str, ...]:
    """Split at blanks outside of quotes; quotes, escapes and variables stay as they are written."""
    words: list[str] = []
    word, quote, position = "", "", 0
    while position < len(text):
        character = text[position]
        if quote:
            if character == escape and quote == '"' and position + 1 < len(text):
                word += character
                position += 1
                character = text[position]
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == escape and position + 1 < len(text):
            word += character
            position += 1
            character = text[position]
        elif character in _SPACE:
            if word:
                words.append(word)
            word = ""
            position += 1
            continue
        word += character
        position += 1
    return (*words, word) if word else tuple(words)


class _Reader:
    """One walk over the text, left to right; ``position`` is the next character."""

    def __init__(self, text: str, variables: Mapping[str, str], escape: str, depth: int = 0) -> None:
        self.text = text
        self.variables = variables
        self.escape = escape
        self.depth = depth
        self.position = 0
        self.words: list[str] = []
        self.open = False
        if depth > MAX_DEPTH:
            raise Invalid("variables are nested too deeply")

    def whole(self) -> str:
        return self._until("")

    def text_only(self) -> str:
        parts: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == "$":
                parts.append(self._variable())
                continue
            length = 2 if character == self.escape else 1
            parts.append(self.text[self.position : self.position + length])
            self.position += length
        return "".join(parts)

    def split(self) -> tuple[str, ...]:
        self.words, self.open = [""], False
        while self.position < len(self.text):
            character = self.text[self.position]
            if character in _SPACE:
                self.position += 1
                self._end_word()
            elif character == "$":
                value = self._variable()
                parts = re.split(f"[{_SPACE}]+", value)
                for index, part in enumerate(parts):
                    if index:
                        self._end_word()
                    self._append(part, bool(part))
            else:
                self._append(self._one(), True)
        self._end_word()
        return tuple(self.words[:-1])

    def _append(self, text: str, is_word: bool) -> None:
        self.words[-1] += text
        self.open = self.open or is_word

    def _end_word(self) -> None:
        if self.open:
            self.words.append("")
        self.open = False

    def _until(self, stop: str) -> str:
        """Everything up to an unquoted ``stop`` (taken, too), or to the end."""
        parts: list[str] = []
        length = 0
        while self.position < len(self.text):
            if stop and self.text[self.position] == stop:
                self.position += 1
                return "".join(parts)
            parts.append(self._one())
            length += len(parts[-1])
            if length > MAX_LENGTH:
                raise Invalid(f"a value expands to more than {MAX_LENGTH} characters")
        if stop:
            raise Invalid(f'syntax error: missing "{stop}" in substitution: {self.text[:80]}')
        return "".join(parts)

    def _one(self) -> str:
        """One character, escape, quoted piece or variable."""
        character = self.text[self.position]
        if character == "'":
            return self._single_quoted()
        if character == '"':
            return self._double_quoted()
        if character == "$":
            return self._variable()
        self.position += 1
        if character == self.escape:
            if self.position == len(self.text):
                return ""
            character = self.text[self.position]
            self.position += 1
        return character

    def _single_quoted(self) -> str:
        end = self.text.find("'", self.position + 1)
        if end < 0:
            raise Invalid(f"unexpected end of statement while looking for matching single-quote: {self.text[:80]}")
        piece = self.text[self.position + 1 : end]
        self.position = end + 1
        return piece

    def _double_quoted(self) -> str:
        self.position += 1
        parts: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == '"':
                self.position += 1
                return "".join(parts)
            if character == "$":
                parts.append(self._variable())
                continue
            self.position += 1
            if character == self.escape and self.position < len(self.text):
                following = self.text[self.position]
                if following in ('"', "$", self.escape):
                    self.position += 1
                    character = following
            parts.append(character)
        raise Invalid(f"unexpected end of statement while looking for matching double-quote: {self.text[:80]}")

    def _variable(self) -> str:
        self.position += 1
        if not self.text.startswith("{", self.position):
            found = NAME.match(self.text, self.position)
            if found is None:
                return "$"
            self.position = found.end()
            return self.variables.get(found.group(), "")
        self.position += 1
        found = NAME.match(self.text, self.position)
        if found is None:
            raise Invalid(f"syntax error: bad substitution: {self.text[:80]}")
        name = found.group()
        self.position = found.end()
        return self._modified(name)

    def _modified(self, name: str) -> str:
        value = self.variables.get(name)
        operator = self.text[self.position : self.position + 2]
        if operator[:1] == "}":
            self.position += 1
            return value or ""
        if operator[:1] in ("#", "%", "/"):
            doubled = len(operator) == 2 and operator[0] == operator[1]
            self.position += 2 if doubled else 1
            return self._edited(value or "", operator[0], doubled)
        with_empty = operator[:1] == ":"
        self.position += 1 if with_empty else 0
        kind = self.text[self.position : self.position + 1]
        if kind not in ("-", "+", "?"):
            raise Invalid(f"unsupported modifier ({kind or 'none'}) in substitution: {self.text[:80]}")
        self.position += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Invalid("variables are nested too deeply")
        word = self._until("}")
        self.depth -= 1
        is_set = bool(value) if with_empty else value is not None
        if kind == "-":
            return value or "" if is_set else word
        if kind == "+":
            return word if is_set else ""
        if not is_set:
            raise Invalid(f"{name}: {word or 'not allowed to be unset'}")
        return value or ""

    def _edited(self, value: str, operator: str, doubled: bool) -> str:
        if operator == "/":
            pattern = self._pattern("/")
            replacement = self._until("}")
            return re.sub(pattern, lambda _: replacement, value, count=0 if doubled else 1)
        pattern = self._pattern("}")
        ends = range(len(value) + 1)
        if operator == "#":
            for end in reversed(ends) if doubled else ends:
                if re.fullmatch(pattern, value[:end], re.DOTALL):
                    return value[end:]
            return value
        for start in ends if doubled else reversed(ends):
            if re.fullmatch(pattern, value[start:], re.DOTALL):
                return value[:start]
        return value

    def _pattern(self, stop: str) -> str:
        """A regular expression for the shell pattern up to ``stop``."""
        parts: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == stop:
                self.position += 1
                return "".join(parts)
            if character == "*":
                parts.append(".*")
            elif character == "?":
                parts.append(".")
            else:
                parts.append(re.escape(self._one()))
                continue
            self.position += 1
        raise Invalid(f'syntax error: missing "{stop}" in substitution: {self.text[:80]}')

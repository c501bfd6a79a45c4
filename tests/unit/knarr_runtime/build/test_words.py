"""Quotes, escapes and variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.build import words
from knarr_runtime.errors import Invalid

VARIABLES = {"x": "1", "s": "a b", "e": "", "path": "/usr/local/lib.tar.gz"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("$x", "1"),
        ("${x}y", "1y"),
        ("$xy", ""),
        ("$unset", ""),
        ("${x:-no}", "1"),
        ("${unset:-yes}", "yes"),
        ("${e:-yes}", "yes"),
        ("${e-yes}", ""),
        ("${unset-yes}", "yes"),
        ("${x:+yes}", "yes"),
        ("${e:+yes}", ""),
        ("${e+yes}", "yes"),
        ("${unset+yes}", ""),
        ("${unset:-${x}}", "1"),
        ("${unset:-${other:-deep}}", "deep"),
        (r"\$x", "$x"),
        (r"\\", "\\"),
        ("'$x'", "$x"),
        ('"$x"', "1"),
        (r'"\$x"', "$x"),
        (r'"a\b"', r"a\b"),
        (r"a\ b", "a b"),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("${path#/usr/}", "local/lib.tar.gz"),
        ("${path##*/}", "lib.tar.gz"),
        ("${path%.*}", "/usr/local/lib.tar"),
        ("${path%%.*}", "/usr/local/lib"),
        ("${path/l/L}", "/usr/Local/lib.tar.gz"),
        ("${path//l/L}", "/usr/LocaL/Lib.tar.gz"),
    ],
)
def test_expand(text: str, value: str) -> None:
    assert words.expand(text, VARIABLES) == value


def test_unquoted_variables_are_split_into_words() -> None:
    assert words.expand_words("$s '$s' \"$s\" x$s", VARIABLES) == ("a", "b", "$s", "a b", "xa", "b")
    assert words.expand_words("$e $unset ''", VARIABLES) == ("",)


def test_raw_words_keep_what_was_written() -> None:
    assert words.raw_words(r"""a 'b c' "d \" e" f\ g $h""") == ("a", "'b c'", r'"d \" e"', r"f\ g", "$h")


def test_the_escape_character_can_be_another() -> None:
    assert words.expand(r"C:\x`$x", {"x": "1"}, "`") == r"C:\x$x"


def test_here_documents_keep_quotes_and_escapes() -> None:
    assert words.expand_text('it\'s "$x" \\$x ${x}', VARIABLES) == 'it\'s "1" \\$x 1'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${x", "unsupported modifier"),
        ("${", "bad substitution"),
        ("${x:-a", 'missing "}"'),
        ("'a", "single-quote"),
        ('"a', "double-quote"),
        ("${x!y}", "unsupported modifier"),
        ("${unset:?must be given}", "unset: must be given"),
        ("${x:-" * 100 + "}" * 100, "nested too deeply"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        words.expand(text, VARIABLES)


@given(st.text(alphabet="abc $'\"\\{}:-+#%/*?x", max_size=40))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    for function in (words.expand, words.expand_words, words.expand_text):
        try:
            function(text, VARIABLES)
        except Invalid:
            pass
    words.raw_words(text)


@given(st.text(alphabet=st.characters(blacklist_characters="$\\'\""), max_size=40))
def test_text_without_anything_special_stays(text: str) -> None:
    assert words.expand(text, VARIABLES) == text

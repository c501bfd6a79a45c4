"""What .dockerignore leaves out."""

from __future__ import annotations

import pytest

from knarr_build.ignore import Patterns, read


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "b/a", False),
        ("/a", "a", True),
        ("a/", "a/b", True),
        ("./a/../b", "b", True),
        ("*.md", "x.md", True),
        ("*.md", "d/x.md", False),
        ("*/*.md", "d/x.md", True),
        ("**/*.md", "x.md", True),
        ("**/*.md", "a/b/x.md", True),
        ("**/*.md", "a/b/x.mdx", False),
        ("a/**", "a/b/c", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("**", "anything/at/all", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("[^a-c]x", "dx", True),
        (r"a\*", "a*", True),
        (r"a\*", "ab", False),
        ("*\n!keep", "keep", False),
        ("*\n!keep", "other", True),
        ("*\n!src/main.py", "src/main.py", False),
        ("*\n!src/main.py", "src/other.py", True),
        ("!keep\n*", "keep", True),
        ("*.md\n!README*.md\nREADME-secret.md", "README-x.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("# comment\na", "a", True),
        ("#a", "#a", False),
        ("  a  ", "a", True),
        (".", "a", False),
        ("a.b", "axb", False),
    ],
)
def test_patterns(patterns: str, path: str, excluded: bool) -> None:
    assert read(patterns).excluded(path) is excluded


@pytest.mark.parametrize("text", ["!", "[a", "[]"])
def test_a_malformed_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        read(text)


def test_no_patterns_leave_nothing_out() -> None:
    assert not Patterns(())
    assert not Patterns(()).excluded("a")

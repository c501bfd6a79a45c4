"""kubectl's JSONPath dialect."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api.errors import Invalid
from knarr_cli.jsonpath import find, render

PODS = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "spec": {"nodeName": "n1"}, "n": 1},
        {"metadata": {"name": "b"}, "spec": {"nodeName": "n2"}, "n": 5, "ok": True},
    ],
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{.items[*].metadata.name}", "a b"),
        (".items[0].metadata.name", "a"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[0:1].n}", "1"),
        ("{.items[0,1].n}", "1 5"),
        ("{range .items[*]}{.metadata.name}{'\\t'}{.n}{\"\\n\"}{end}", "a\t1\nb\t5\n"),
        ('{.items[?(@.spec.nodeName=="n2")].metadata.name}', "b"),
        ("{.items[?(@.n>2)].metadata.name}", "b"),
        ("{.items[?(@.n!=1)].metadata.name}", "b"),
        ("{.items[?(@.ok)].metadata.name}", "b"),
        ("{.items[?(@.ok==true)].metadata.name}", "b"),
        ("{..nodeName}", "n1 n2"),
        (r"{.items[0].metadata.labels.app\.kubernetes\.io/name}", "x"),
        (r"{.items[0].metadata.labels['app\.kubernetes\.io/name']}", "x"),
        ("{.items[*]['n','ok']}", "1 5 true"),
        ("{.items[0].metadata.labels['app.kubernetes.io/name']}", "x"),
        ("kind={.kind}", "kind=List"),
        ("{.items[0].metadata}", '{"name":"a","labels":{"app.kubernetes.io/name":"x"}}'),
        ("{.missing}", ""),
        ("{$.kind}", "List"),
        ("{.missing[0]}", ""),
        ("{'é → \\t'}", "é → \t"),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert render(template, PODS) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{.items[",
        "{.items[x]}",
        "{.items[2].n}",
        "{.items[-3].n}",
        "{range .items[0,2]}{end}",
        "{range .items[*]}{.n}",
        "{end}",
        "{.items[?(@.n~1)]}",
    ],
)
def test_malformed_templates_are_refused(template: str) -> None:
    with pytest.raises(Invalid):
        render(template, PODS)


def test_find_gives_values() -> None:
    document: Any = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert find('.status.conditions[?(@.type=="Ready")].status', document) == ["True"]
    assert find(".status.conditions[1].status", document) == [], "while one waits for it"

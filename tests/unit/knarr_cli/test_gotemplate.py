"""Go templates as people write them for kubectl."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import Invalid
from knarr_cli.gotemplate import render

PODS: Any = {
    "kind": "List",
    "items": [
        {"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}}, "spec": {"nodeName": "n1"}, "n": 1},
        {"metadata": {"name": "b"}, "n": 5, "ok": True, "secret": "aHVudGVy"},
    ],
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.kind}}", "List"),
        ("{{len .items}}", "2"),
        ('{{range .items}}{{.metadata.name}}{{"\\n"}}{{end}}', "a\nb\n"),
        ("{{range $i, $p := .items}}{{$i}}={{$p.metadata.name}} {{$.kind}};{{end}}", "0=a List;1=b List;"),
        ("{{range .nothing}}x{{else}}none{{end}}", "none"),
        ("{{range $k, $v := (index .items 0).metadata.labels}}{{$k}}:{{$v}}{{end}}", "app.kubernetes.io/name:x"),
        ('{{index (index .items 0).metadata.labels "app.kubernetes.io/name"}}', "x"),
        ("{{range .items}}{{if .ok}}yes{{else if eq .n 1}}one{{else}}no{{end}} {{end}}", "one yes "),
        ("{{range .items}}{{.spec.nodeName}},{{end}}", "n1,<no value>,"),
        ("{{with .items}}{{len .}}{{end}}{{with .nope}}x{{else}}-{{end}}", "2-"),
        ("{{- /* said */ -}} {{ .kind -}} !", "List!"),
        ('{{printf "%-3s|%5.1f|%d|%q" .kind 2.5 7 "a"}}', 'List|  2.5|7|"a"'),
        ("{{(index .items 1).secret | base64decode | printf `<%s>`}}", "<hunter>"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ('{{and .kind .items | len}} {{or .nope "z"}} {{not .nope}} {{gt 3 2}} {{ne "a" "a"}}', "2 z true true false"),
        ("{{(index .items 0).spec}}", "map[nodeName:n1]"),
        ('{{if exists . "items"}}there{{end}}{{println "a" 1}}', "therea 1\n"),
        ("{{`a}}b`}}", "a}}b"),
        ('{{define "n"}}<{{.metadata.name}}>{{end}}{{range .items}}{{template "n" .}}{{end}}', "<a><b>"),
        ('{{template "t"}}{{define "t"}}{{.}}{{$}}{{end}}', "<no value><no value>"),
        ('{{block "b" .kind}}[{{.}}]{{end}}{{template "b" 7}}', "[List][7]"),
        ('{{define "r"}}{{.}}{{if gt . 1}}{{template "r" 1}}{{end}}{{end}}{{template "r" 2}}', "21"),
        ("{{range 9}}{{if eq . 1}}{{continue}}{{end}}{{if eq . 3}}{{break}}{{end}}{{.}}{{end}}", "02"),
        ("{{range 2}}{{range 3}}{{if .}}{{break}}{{end}}{{.}}{{end}};{{end}}", "0;0;"),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert render(template, PODS) == expected


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{range .items}}", "unexpected end"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{.a", "unclosed action: {{.a"),
        ('{{define "x"}}', "unexpected end"),
        ('{{define "x" .}}{{end}}', "unexpected text in define clause"),
        ('{{if 1}}{{define "x"}}{{end}}{{end}}', "unexpected {{define}}"),
        ("{{template x}}", "unexpected text in template clause"),
        ('{{template "x"}}', 'template "x" not defined'),
        ('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}', "more than 100 deep"),
        ('{{define "x"}}{{$y}}{{end}}{{$y := 1}}{{template "x"}}', 'undefined variable "$y"'),
        ("{{break}}", "{{break}} outside {{range}}"),
        ('{{range 2}}{{block "x" .}}{{continue}}{{end}}{{end}}', "{{continue}} outside {{range}}"),
        ("{{nope .kind}}", 'function "nope" not defined: there are and, base64decode'),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{.kind.x}}", "can't evaluate field x in List"),
        ("{{index .items 9}}", "index out of range: 9"),
        ("{{len 5}}", "error calling len"),
        ("{{.kind .items}}", "can't give argument to non-function"),
        ("{{(.kind}}", "unclosed left paren"),
        ("{{}}", "missing value"),
    ],
)
def test_malformed_templates_are_refused(template: str, problem: str) -> None:
    with pytest.raises(Invalid, match="error parsing template") as refused:
        render(template, PODS)
    assert problem in str(refused.value) and "{{{{" not in str(refused.value)


PIECES = (
    "{{",
    "}}",
    "-",
    ".items",
    "range ",
    "break",
    'define "x"',
    'template "x"',
    'block "x" .',
    "end",
    "if ",
    "else",
    "(",
    ")",
    "|",
    "$x",
    ":=",
    '"a"',
    " ",
    "index",
    "x",
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_whatever_is_given_is_filled_in_or_refused(template: str) -> None:
    try:
        render(template, PODS)
    except Invalid:
        pass

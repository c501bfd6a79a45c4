"""``--format``: Go's templates as far as people use them."""

from __future__ import annotations

import pytest

from knarr_runtime.cli import output, templates
from knarr_runtime.errors import Invalid

DOCUMENT = {
    "Name": "web",
    "State": {"Running": True, "ExitCode": 0},
    "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
    "Networks": {"bridge": {"IPAddress": "10.0.0.2"}},
    "Labels": {"tier": "front"},
    "Nothing": None,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}: {{.State.Running}} {{.State.ExitCode}}", "web: true 0"),
        ("{{json .State}}", '{"Running":true,"ExitCode":0}'),
        ("{{.State | json}}", '{"Running":true,"ExitCode":0}'),
        ("{{range .Mounts}}{{.Source}} {{end}}", "/a /b "),
        ("{{range .Networks}}{{.IPAddress}}{{else}}none{{end}}", "10.0.0.2"),
        ("{{range .Nothing}}x{{else}}none{{end}}", "none"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if eq .State.ExitCode 1 2}}bad{{end}}", ""),
        ('{{index .Labels "tier"}}', "front"),
        ("{{(index .Mounts 1).Source}}", "/b"),
        ("{{with .State}}{{.ExitCode}} {{$.Name}}{{end}}", "0 web"),
        ('{{join (split "a,b" ",") "-"}}', "a-b"),
        ("{{len .Mounts}} {{upper .Name}} {{.Labels}} {{.Nothing}}", "2 WEB map[tier:front] <no value>"),
        (r"a\tb", "a\tb"),
    ],
)
def test_templates_are_rendered(template: str, text: str) -> None:
    assert templates.Template(template).render(DOCUMENT) == text


@pytest.mark.parametrize(
    "template",
    [
        *(
            "{{.Missing}}",
            "{{.Name.More}}",
            "{{range .Mounts}}",
            "{{end}}",
            "{{nothing .Name}}",
            "{{(.Name}}",
            "{{.Name)}}",
        ),
        *("{{.Name .Name}}", "{{|}}", "{{len 3}}", "{{else}}", "{{&}}", "{{.Name |}}"),
    ],
)
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(Invalid, match="format"):
        templates.Template(template).render(DOCUMENT)


def test_lists_become_tables() -> None:
    form = r"table {{.Name}}\t{{.State.ExitCode}}"
    assert templates.listed(form, [DOCUMENT], output.table).splitlines()[0].split() == ["NAME", "EXIT", "CODE"]
    assert templates.listed("{{.Name}}", [DOCUMENT, DOCUMENT], output.table) == "web\nweb"
    assert templates.listed("json", [{"A": 1, "B": len}], output.table) == '{"A": 1}'

"""Label and field selectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.errors import Invalid
from knarr_api.fields import FieldSelector
from knarr_api.labels import Requirement, Selector, key_problem, value_problem
from knarr_api.types.meta_v1 import LabelSelector, LabelSelectorRequirement

WEB = {"app": "web", "tier": "front", "example.com/zone": "a", "cores": "8", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier in (front, back)", True),
        ("app!=web", False),
        ("nothing!=here", True),
        ("app", True),
        ("!app", False),
        ("!gone", True),
        ("tier notin (front)", False),
        ("gone notin (x)", True),
        ("example.com/zone=a", True),
        ("cores>4,cores<9", True),
        ("cores>8", False),
        ("app>1", False),
        ("empty=", True),
        ("empty in (a,)", True),
        ("empty in (,a)", True),
        ("in in (a)", False),
        (" app = web , tier ", True),
        ("app in (web),!gone", True),
    ],
)
def test_selectors_match(text: str, matches: bool) -> None:
    selector = Selector.parse(text)
    assert selector.matches(WEB) is matches
    assert Selector.parse(str(selector)).matches(WEB) is matches


@pytest.mark.parametrize(
    "text",
    [
        "=web",
        "app=web,",
        "app in",
        "app in (a",
        "app in a",
        "a b",
        "app=we b",
        "app=web=x",
        "-a=b",
        "app>x",
        "a,,b",
        "(",
        "a=$",
    ],
)
def test_malformed_selectors_are_refused_with_their_text(text: str) -> None:
    with pytest.raises(Invalid, match="unable to parse label selector"):
        Selector.parse(text)


def test_none_matches_nothing_and_empty_everything() -> None:
    nothing, everything = Selector.from_label_selector(None), Selector.from_label_selector(LabelSelector())
    assert not nothing.matches(WEB)
    assert not nothing.matches({})
    assert not Selector.parse(str(nothing)).matches({})
    assert everything.matches({})
    assert everything.everything


def test_label_selector_of_an_object() -> None:
    selector = LabelSelector(
        match_labels={"app": "web"},
        match_expressions=(
            LabelSelectorRequirement(key="tier", operator="In", values=("front", "back")),
            LabelSelectorRequirement(key="gone", operator="DoesNotExist"),
        ),
    )
    assert Selector.from_label_selector(selector).matches(WEB)
    assert str(Selector.from_label_selector(selector)) == "app=web,tier in (back,front),!gone"


@pytest.mark.parametrize(
    "requirement",
    [
        LabelSelectorRequirement(key="a", operator="Near"),
        LabelSelectorRequirement(key="a", operator="In"),
        LabelSelectorRequirement(key="a", operator="Exists", values=("b",)),
    ],
)
def test_ill_formed_requirements_are_refused(requirement: LabelSelectorRequirement) -> None:
    with pytest.raises(Invalid):
        Selector.from_label_selector(LabelSelector(match_expressions=(requirement,)))


@pytest.mark.parametrize("key", ["a", "a/b", "example.com/a-b_c.d", "A9", "x" * 63])
def test_good_keys(key: str) -> None:
    assert key_problem(key) == ""


@pytest.mark.parametrize("key", ["", "/a", "a/", "A.com/x", "-a", "a-", "x" * 64, "a/b/c", "å", "a b", "a\n"])
def test_bad_keys(key: str) -> None:
    assert key_problem(key) != ""


def test_values() -> None:
    assert value_problem("") == "" == value_problem("A-1.b_c")
    assert value_problem("x" * 64) != ""
    assert value_problem("a/b") != ""


WORDS = st.sampled_from(["a", "b", "app", "in", "notin", "x.y/z", "1"])
VALUES = st.sampled_from(["", "a", "b", "c", "in"])
REQUIREMENTS = st.one_of(
    st.builds(
        Requirement, WORDS, st.sampled_from(["In", "NotIn"]), st.lists(VALUES, min_size=1, unique=True).map(tuple)
    ),
    st.builds(Requirement, WORDS, st.sampled_from(["Exists", "DoesNotExist"])),
)


@given(st.lists(REQUIREMENTS, max_size=4), st.dictionaries(WORDS, VALUES))
def test_text_of_a_selector_means_the_same(requirements: list[Requirement], labels: dict[str, str]) -> None:
    selector = Selector(tuple(requirements))
    assert Selector.parse(str(selector)).matches(labels) == selector.matches(labels)


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        Selector.parse(text).matches(WEB)
    except Invalid:
        pass


def test_fields() -> None:
    pod = {"spec.nodeName": "n1", "metadata.name": "web"}
    assert FieldSelector.parse("spec.nodeName=n1,metadata.name!=x").matches(lambda name: pod.get(name, ""))
    assert not FieldSelector.parse("spec.nodeName==n2").matches(lambda name: pod.get(name, ""))
    assert FieldSelector.parse("status.phase!=Running").matches(lambda name: pod.get(name, ""))
    assert FieldSelector.parse("spec.nodeName=").exact("spec.nodeName") == ""
    assert FieldSelector.parse("").matches(lambda name: "")
    assert str(FieldSelector.parse("a=b, c!=d")) == "a=b,c!=d"


@pytest.mark.parametrize("text", ["a", "=b", "a>b", "a=b,c"])
def test_malformed_field_selectors_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="invalid field selector"):
        FieldSelector.parse(text)


def test_unsupported_fields_are_refused_by_name() -> None:
    with pytest.raises(Invalid, match=r"field label not supported: spec\.image: supported are metadata\.name"):
        FieldSelector.parse("spec.image=x", supported=("metadata.name",))

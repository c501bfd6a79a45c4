"""Makes the source of ``knarr_api.types``: one frozen msgspec struct per message.

How a field becomes an attribute:

====================  =========================================================================
string                ``str = ""``; ``str | None = None`` where empty differs from absent
number, bool          ``T | None = None``
repeated, map         ``tuple[T, ...] = ()``, ``dict[str, T]`` (empty is absent)
message               ``T | None = None``; an empty instance for metadata, spec, status, template
inlined message       its fields, in place
====================  =========================================================================
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import descriptor_pb2

from knarr_api import conventions

Field = descriptor_pb2.FieldDescriptorProto
Message = descriptor_pb2.DescriptorProto
File = descriptor_pb2.FileDescriptorProto

SCALARS = {
    Field.TYPE_STRING: "str",
    Field.TYPE_BYTES: "bytes",
    Field.TYPE_BOOL: "bool",
    Field.TYPE_INT32: "Int32",
    Field.TYPE_INT64: "Int64",
    Field.TYPE_UINT32: "UInt32",
    Field.TYPE_DOUBLE: "Number",
}
WITHOUT_LIST = {
    "k8s.io.api.admission.v1": {"AdmissionReview"},
    "k8s.io.api.authentication.v1": {"SelfSubjectReview", "TokenRequest", "TokenReview"},
    "k8s.io.api.authorization.v1": {
        "LocalSubjectAccessReview",
        "SelfSubjectAccessReview",
        "SelfSubjectRulesReview",
        "SubjectAccessReview",
    },
    "k8s.io.api.autoscaling.v1": {"Scale"},
    "k8s.io.api.core.v1": {"Binding"},
    "k8s.io.api.policy.v1": {"Eviction"},
    conventions.APIEXTENSIONS: {"ConversionReview"},
    conventions.META: {
        "APIGroup",
        "APIGroupList",
        "APIResourceList",
        "APIVersions",
        "PartialObjectMetadata",
        "Status",
        "Table",
    },
}
"""Top-level messages, by package, that have no ``…List`` of their own."""
NOT_VALUES = (
    conventions.RAW_JSON
    | conventions.TIMES
    | conventions.STRING_LISTS
    | {
        conventions.QUANTITY,
        conventions.INT_OR_STRING,
        conventions.DURATION,
        conventions.SCHEMA_OR_ARRAY,
        conventions.SCHEMA_OR_BOOL,
        conventions.SCHEMA_OR_STRINGS,
        "k8s.io.apimachinery.pkg.api.resource.QuantityValue",
    }
)
"""Messages that are something simpler in values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One line of a struct. doc is the .proto's comment."""

    name: str
    json: str
    type: str
    default: str
    doc: str = ""
    keeper: str = ""
    """Function of ``knarr_api.time`` that brings the value into canonical form."""

    @property
    def camel(self) -> bool:
        """Whether msgspec's ``rename="camel"`` makes the JSON name of the attribute's."""
        first, *rest = self.name.split("_")
        return first + "".join(part.title() for part in rest) == self.json

    @property
    def instance_of(self) -> str:
        """Class whose empty instance is the default, if one is."""
        return self.default.removesuffix("()")

    @property
    def source(self) -> str:
        """The line of the class."""
        if self.default == "{}":
            arguments = "default_factory=dict"
        elif not self.camel:
            arguments = f"default={self.default}"
        else:
            return f"{self.name}: {self.type} = {self.default}"
        if not self.camel:
            arguments += f', name="{self.json}"'
        line = f"{self.name}: {self.type} = msgspec.field({arguments})"
        return line if len(line) <= 116 else line.replace(f"({arguments})", f"(\n    {arguments}\n)")


class Generator:
    """All files of one descriptor set."""

    def __init__(self, files: descriptor_pb2.FileDescriptorSet) -> None:
        self.files = [file for file in files.file if file.name.startswith("knarr_proto/k8s/")]
        self.messages: dict[str, Message] = {}
        self.comments: dict[tuple[str, str], str] = {}
        for file in self.files:
            for message in file.message_type:
                self.messages[f"{file.package}.{message.name}"] = message
                for entry in message.nested_type:
                    self.messages[f"{file.package}.{message.name}.{entry.name}"] = entry
            for location in file.source_code_info.location:
                text = location.leading_comments.strip() or location.trailing_comments.strip()
                path = list(location.path)
                if not text or path[:1] != [4] or len(path) not in (2, 4) or (len(path) == 4 and path[2] != 2):
                    continue
                message = file.message_type[path[1]]
                field = message.field[path[3]].name if len(path) == 4 else ""
                self.comments[(f"{file.package}.{message.name}", field)] = " ".join(text.split())

    def module(self, file: File) -> str:
        """Source of the module for one file."""
        names = [f"{file.package}.{message.name}" for message in file.message_type]
        structs = {name: list(self.attributes(name)) for name in names if name not in NOT_VALUES}
        code = "\n\n".join(self.struct(name, structs[name], file.package) for name in _in_order(structs))
        return self.header(file, code) + "\n\n" + code

    def header(self, file: File, code: str) -> str:
        """Docstring and the imports that the code needs."""
        first = f'"""Values of {file.package}.\n\nGenerated from {file.name} by ``./dev proto``: do not edit.\n"""\n'
        standard = ["import datetime"] if "datetime.datetime" in code else []
        if re.search(r"\bAny\b", code):
            standard.append("from typing import Any")
        ours = []
        widths = sorted(set(re.findall(r"\b(?:U?Int(?:32|64)|Number)\b", code)))
        if widths:
            ours.append(f"from knarr_api.numbers import {', '.join(widths)}")
        if re.search(r"\bQuantity\b", code):
            ours.append("from knarr_api.quantity import Quantity")
        keepers = sorted(set(re.findall(r"\bkeep_\w+", code)))
        if keepers:
            ours.append(f"from knarr_api.time import {', '.join(keepers)}")
        modules = {conventions.module_of(other.package) for other in self.files if other.package != file.package}
        used = sorted(module for module in modules if re.search(rf"\b{module}\.[A-Z]", code))
        if used:
            ours.append(f"from knarr_api.types import {', '.join(used)}")
        blocks = [["from __future__ import annotations"], standard, ["import msgspec"], ours]
        return first + "\n" + "\n\n".join("\n".join(block) for block in blocks if block) + "\n"

    def struct(self, full_name: str, attributes: list[Attribute], package: str) -> str:
        """Source of one class."""
        name = full_name.rsplit(".", 1)[1]
        doc = self.comments.get((full_name, ""), full_name)
        body = [*_docstring(doc), ""]
        if full_name == f"{conventions.META}.DeleteOptions":
            body += ['api_version: str = ""', 'kind: str = ""']
        elif self.is_kind(full_name):
            api_version = conventions.api_version_of(package, name)
            body.append(f'api_version: str = msgspec.field(default_factory=lambda: "{api_version}", name="apiVersion")')
            body.append(f'kind: str = msgspec.field(default_factory=lambda: "{name}")')
        for a in attributes:
            body += [a.source, *(_docstring(a.doc) if a.doc else [])]
        keepers = [a for a in attributes if a.keeper]
        if keepers:
            body += ["", "def __post_init__(self) -> None:"]
        for a in keepers:
            body.append(f"    if self.{a.name} is not None:")
            body.append(f'        {a.keeper}(self, "{a.name}", self.{a.name})')
        options = "frozen=True, kw_only=True, omit_defaults=True, gc=False"
        if any(a.name != a.json and a.camel for a in attributes):
            options += ', rename="camel"'
        head = f"class {name}(msgspec.Struct, {options}):"
        if len(head) > 120:
            head = f"class {name}(\n    msgspec.Struct, {options}\n):"
        return head + "\n" + textwrap.indent("\n".join(body).rstrip(), "    ") + "\n"

    def is_kind(self, full_name: str) -> bool:
        name = full_name.rsplit(".", 1)[1]
        fields = {field.name for field in self.messages[full_name].field}
        return (
            (f"{full_name}List" in self.messages and "metadata" in fields)
            or (name.endswith("List") and "items" in fields and "metadata" in fields)
            or name in WITHOUT_LIST.get(full_name.rsplit(".", 1)[0], ())
        )

    def attributes(self, full_name: str) -> Iterator[Attribute]:
        """In the order of the message; what is inlined stands where its message stood."""
        for field in self.messages[full_name].field:
            if (full_name, field.name) in conventions.INLINED:
                yield from self.attributes(field.type_name[1:])
                continue
            type_, default = self.type_and_default(full_name, field)
            yield Attribute(
                name=conventions.attribute_name(full_name, field.name),
                json=conventions.json_name(full_name, field.name),
                type=type_,
                default=default,
                keeper=conventions.KEEPERS.get(field.type_name[1:], "") if default == "None" else "",
                doc=self.comments.get((full_name, field.name), ""),
            )

    def type_and_default(self, full_name: str, field: Field) -> tuple[str, str]:
        if field.label == Field.LABEL_REPEATED:
            nested = self.messages.get(field.type_name[1:])
            if nested is not None and nested.options.map_entry:
                key, value = (self.plain(full_name, part) for part in nested.field)
                return f"dict[{key}, {value}]", "{}"
            return f"tuple[{self.plain(full_name, field)}, ...]", "()"
        plain = self.plain(full_name, field)
        if field.type == Field.TYPE_STRING and (full_name, field.name) not in conventions.POINTER_STRINGS:
            return "str", '""'
        if field.type == Field.TYPE_BYTES:
            return "bytes", 'b""'
        if field.type == Field.TYPE_MESSAGE and field.type_name[1:] in conventions.STRING_LISTS:
            return plain, "()"
        if field.type == Field.TYPE_MESSAGE and self.always_there(full_name, field):
            return plain, f"{plain}()"
        return (plain, "None") if plain == "Any" else (f"{plain} | None", "None")

    def always_there(self, full_name: str, field: Field) -> bool:
        """Fields that hold an empty instance where the JSON has none."""
        target = field.type_name[1:]
        if target in NOT_VALUES:
            return False
        if field.name == "metadata":
            return target in (f"{conventions.META}.ObjectMeta", f"{conventions.META}.ListMeta")
        if field.name in ("spec", "status"):
            return any(other.name == "metadata" for other in self.messages[full_name].field)
        if field.name == "template":
            return target == f"{conventions.CORE}.PodTemplateSpec"
        return field.name == "resources" and target == f"{conventions.CORE}.ResourceRequirements"

    def plain(self, full_name: str, field: Field) -> str:
        """Type of one value of the field."""
        if field.type != Field.TYPE_MESSAGE:
            return SCALARS[field.type]
        target = field.type_name[1:]
        if target in conventions.RAW_JSON:
            return "Any"
        if target in conventions.TIMES:
            return "datetime.datetime"
        if target in conventions.STRING_LISTS:
            return "tuple[str, ...]"
        special = {
            conventions.QUANTITY: "Quantity",
            conventions.INT_OR_STRING: "Int32 | str",
            conventions.DURATION: "str",
            conventions.SCHEMA_OR_ARRAY: "JSONSchemaProps | tuple[JSONSchemaProps, ...]",
            conventions.SCHEMA_OR_BOOL: "JSONSchemaProps | bool",
            conventions.SCHEMA_OR_STRINGS: "JSONSchemaProps | tuple[str, ...]",
        }.get(target)
        if special is not None:
            return special
        package, name = target.rsplit(".", 1)
        own = full_name.rsplit(".", 1)[0]
        return name if package == own else f"{conventions.module_of(package)}.{name}"


def _in_order(structs: dict[str, list[Attribute]]) -> Iterator[str]:
    """The .proto's order, but for classes whose empty instances others need: those first."""
    local = {name.rsplit(".", 1)[1]: name for name in structs}
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        for attribute in structs[name]:
            needed = local.get(attribute.instance_of)
            if needed is not None and needed not in done:
                visit(needed)
        done[name] = None

    for name in structs:
        if name not in done:
            visit(name)
    return iter(done)


def _docstring(doc: str) -> list[str]:
    return textwrap.wrap(f'"""{doc}"""', 116, break_long_words=False)


def modules(files: descriptor_pb2.FileDescriptorSet) -> Iterator[tuple[str, str]]:
    """(module name, source) for every file of the Kubernetes API that has values."""
    generator = Generator(files)
    for file in generator.files:
        module = conventions.module_of(file.package)
        if module not in ("resource", "intstr"):
            yield module, generator.module(file)

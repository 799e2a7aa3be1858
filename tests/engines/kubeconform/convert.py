"""From what Kubernetes and its extensions publish of their objects to JSON schemas that refuse unknown fields.

Kubernetes' own objects come from its OpenAPI 2 document, those of extensions from the schemas in their definitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_REF = "#/definitions/"
_NUMBER_OR_TEXT: Schema = {"type": ["string", "integer", "number"]}
# What the document calls a text and the API server reads as a number as well.
_LOOSE = ("io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString")


def place(api_version: str, kind: str) -> str:
    """The file of a kind, as `TEMPLATE` finds it."""
    group, _, version = api_version.rpartition("/")
    return f"{group or version}_{version}/{kind.lower()}.json"


TEMPLATE = "{{ .Group }}_{{ .ResourceAPIVersion }}/{{ .ResourceKind }}.json"


def of_kubernetes(document: Mapping[str, Any]) -> Iterator[tuple[str, Schema]]:
    """Place and schema of each kind in Kubernetes' OpenAPI document."""
    definitions = strict_definitions(document)
    for name, described in document["definitions"].items():
        for kind in described.get("x-kubernetes-group-version-kind", ()):
            api_version = "/".join(part for part in (kind["group"], kind["version"]) if part)
            schema = _identified(definitions[name], api_version, kind["kind"])
            yield place(api_version, kind["kind"]), schema | {"definitions": _closure(schema, definitions)}


def of_definition(definition: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """Place and schema of each version in one CustomResourceDefinition; `definitions` are Kubernetes' own."""
    spec = definition["spec"]
    kind = spec["names"]["kind"]
    for version in spec["versions"]:
        api_version = f"{spec['group']}/{version['name']}"
        schema = _identified(_strict(version["schema"]["openAPIV3Schema"]), api_version, kind)
        schema["properties"]["metadata"] = {"$ref": _REF + _META}
        yield place(api_version, kind), schema | {"definitions": _closure(schema, definitions)}


def strict_definitions(document: Mapping[str, Any]) -> dict[str, Schema]:
    """Kubernetes' own definitions, each refusing fields that it does not name."""
    strict: dict[str, Schema] = {name: _strict(described) for name, described in document["definitions"].items()}
    return {**strict, **dict.fromkeys(_LOOSE, _NUMBER_OR_TEXT)}


def _identified(schema: Schema, api_version: str, kind: str) -> Schema:
    own = {"apiVersion": {"const": api_version}, "kind": {"const": kind}}
    required = dict.fromkeys([*schema.get("required", ()), "apiVersion", "kind"])
    return schema | {"properties": schema["properties"] | own, "required": list(required)}


def _strict(schema: Mapping[str, Any]) -> Schema:
    if schema.get("x-kubernetes-int-or-string"):
        return _NUMBER_OR_TEXT
    kept = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "description"}
    if "properties" in kept:
        kept["properties"] = {name: _strict(field) for name, field in kept["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = _strict(kept[key])
    if kept.pop("nullable", False) and "type" in kept:
        kept["type"] = [kept["type"], "null"]
    return kept


def _closure(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    open_ends = list(_references(schema))
    while open_ends:
        name = open_ends.pop()
        if name not in found:
            found[name] = definitions[name]
            open_ends += _references(found[name])
    return found


def _references(value: object) -> Iterator[str]:
    match value:
        case {"$ref": str(target)}:
            yield target.removeprefix(_REF)
        case dict():
            for one in value.values():  # pyright: ignore[reportUnknownVariableType]
                yield from _references(one)  # pyright: ignore[reportUnknownArgumentType]
        case list():
            for one in value:  # pyright: ignore[reportUnknownVariableType]
                yield from _references(one)  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return

"""The configuration as JSON Schema (draft 2020-12), so that editors complete, explain and check it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from config.base import Model
from config.fields import DURATION_SCHEMA, FRACTION_SCHEMA, SIZE_SCHEMA
from config.meanings import meanings
from config.render import plain_default
from config.schema import Config
from config.shape import types_of

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

# An editor sees ${NAME} where the loader will see a value, so every scalar may be one.
_REFERENCE: Final[Schema] = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A value from the environment: ${NAME} or ${NAME:-default}.",
}
_SHARED: Final[Mapping[str, Schema]] = {
    "Duration": {"description": "Seconds, or a duration such as 250ms, 5s, 2m or 1h.", **DURATION_SCHEMA},
    "Share": {"description": "A percentage such as 5%, or a fraction such as 0.05.", **FRACTION_SCHEMA},
    "Size": {"description": "Bytes, or a size such as 64KiB, 10MB or 1GiB.", **SIZE_SCHEMA},
    "Variable": _REFERENCE,
}
_LENGTHS: Final = {
    "array": {"minLength": "minItems", "maxLength": "maxItems"},
    "object": {"minLength": "minProperties", "maxLength": "maxProperties"},
}


def schema(
    *,
    split_kinds: Mapping[str, Schema] | None = None,
    guardrail_kinds: Mapping[str, Schema] | None = None,
) -> Schema:
    """The JSON Schema of a configuration file as it is written, before variables are filled in.

    Args:
        split_kinds: by kind, the schema of an object with the kind's own keys, or only the properties of such
            a schema; left out, any kind passes.
        guardrail_kinds: the same for guardrails.
    """
    whole = Config.model_json_schema(mode="validation", by_alias=True)
    definitions: dict[str, Schema] = whole.pop("$defs")
    for model in _models(Config):
        _write_defaults(model, whole if model is Config else definitions[model.__name__])
    for kind in _kinds(Model):
        _write_meanings(kind, whole if kind is Config else definitions.get(kind.__name__, {}))
    if split_kinds:
        definitions["Split"] = _by_kind(definitions["Split"], split_kinds)
    if guardrail_kinds:
        definitions["Guardrail"] = _by_kind(definitions["Guardrail"], guardrail_kinds)
    return {
        "$schema": DIALECT,
        "title": "Headgate configuration",
        **_cleaned(whole),
        # Keys such as x-common hold anchors for use elsewhere in the file.
        "patternProperties": {"^x-": {}},
        "$defs": {**_SHARED, **{name: _cleaned(each) for name, each in sorted(definitions.items())}},
    }


def _models(root: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> Iterator[type[BaseModel]]:
    seen = set() if seen is None else seen
    if root in seen:
        return
    seen.add(root)
    yield root
    for info in root.model_fields.values():
        for each in types_of(info):
            for inner in (each, *getattr(each, "__args__", ())):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from _models(inner, seen)


def _kinds(model: type[Model]) -> Iterator[type[Model]]:
    """Also what no field names, because a validator chooses it."""
    for each in model.__subclasses__():
        yield each
        yield from _kinds(each)


def _write_meanings(model: type[Model], definition: Schema) -> None:
    properties: dict[str, Schema] = definition.get("properties", {})
    texts = meanings(model) if properties else {}
    for name, text in texts.items():
        if (key := model.model_fields[name].alias or name) in properties:
            properties[key]["description"] = text


def _write_defaults(model: type[BaseModel], definition: Schema) -> None:
    """Defaults as people write them; none for a section, whose keys have their own."""
    for name, info in model.model_fields.items():
        described: Schema = definition["properties"][info.alias or name]
        described.pop("default", None)
        value = None if info.is_required() else plain_default(info)
        if value is not None and value != {} and not isinstance(info.default, BaseModel):
            described["default"] = value


def _by_kind(base: Schema, kinds: Mapping[str, Schema]) -> Schema:
    """One branch for each kind, closed against keys it does not have; editors choose by the constant."""
    shared = {key: value for key, value in base["properties"].items() if key != "kind"}
    branches = []
    for kind, given in sorted(kinds.items()):
        own = given if given.get("type") == "object" or "properties" in given else {"properties": given}
        branch: Schema = {
            "type": "object",
            "properties": {"kind": {"const": kind}, **shared, **own.get("properties", {})},
            "required": ["kind", *(key for key in own.get("required", ()) if key != "kind")],
            "additionalProperties": own.get("additionalProperties", False),
        }
        if "description" in own:
            branch["description"] = own["description"]
        branches.append(branch)
    return {"description": base.get("description", ""), "oneOf": branches}


def _cleaned(value: Schema) -> Schema:
    """A schema without null, which a file never needs, where every scalar may be a variable."""
    cleaned = _without_null({key: item for key, item in value.items() if key != "title"})
    _name_lengths(cleaned)
    for key in ("properties", "patternProperties"):
        if key in cleaned:
            cleaned[key] = {name: _cleaned(inner) for name, inner in cleaned[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(cleaned.get(key), dict):
            cleaned[key] = _cleaned(cleaned[key])
    for key in ("anyOf", "oneOf"):
        if key in cleaned and not _is_scalar(cleaned):
            cleaned[key] = _flattened([_cleaned(option) for option in cleaned[key]])
    if "patternProperties" in cleaned:
        cleaned.setdefault("additionalProperties", False)
    return _or_variable(cleaned) if _is_scalar(cleaned) else cleaned


def _flattened(options: list[Schema]) -> list[Schema]:
    flat: list[Schema] = []
    for option in options:
        flat += option["anyOf"] if list(option) == ["anyOf"] else [option]
    return [option for i, option in enumerate(flat) if option not in flat[:i]]


def _without_null(value: Schema) -> Schema:
    options = [option for option in value.get("anyOf", ()) if option != {"type": "null"}]
    rest = {key: item for key, item in value.items() if key != "anyOf"}
    if len(options) == 1:
        return {**options[0], **rest}
    return {**rest, "anyOf": options} if options else rest


def _name_lengths(value: Schema) -> None:
    for wrong, right in _LENGTHS.get(value.get("type", ""), {}).items():
        if wrong in value:
            value[right] = value.pop(wrong)


def _is_scalar(value: Schema) -> bool:
    if "anyOf" in value:
        return all(_is_scalar(option) for option in value["anyOf"])
    return (
        value.get("type") in ("integer", "number", "boolean", "string") or "const" in value or "enum" in value
    )


def _or_variable(value: Schema) -> Schema:
    notes: Schema = {key: value[key] for key in ("description", "default") if key in value}
    core = {key: item for key, item in value.items() if key not in notes}
    if core == {"type": "string"}:
        return value
    for name, shared in _SHARED.items():
        if core.get("anyOf") == shared.get("anyOf") and "anyOf" in core:
            core = {"$ref": f"#/$defs/{name}"}
    options = core["anyOf"] if list(core) == ["anyOf"] else [core]
    return {**notes, "anyOf": [*options, {"$ref": "#/$defs/Variable"}]}

"""/api/v1/openapi.json: the document of the native face, made from its operations."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from trivet import __version__
from trivet.gateway.native.operations import ROOT, Operation, Parameter

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ALWAYS = (400, 401, 403, 429, 503)
_WORDS = {
    308: "Not whole yet; Range says what is held.", 400: "It can't be understood.", 401: "Log in first.",
    403: "You may not.", 404: "It is not there.", 408: "The body did not come in time.",
    409: "It is over already.",
    410: "Its time is over.", 412: "It was changed meanwhile.", 413: "Too large.",
    415: "The content is not what it is called.", 416: "No such bytes.", 422: "The content is damaged.",
    423: "Somebody holds a lock.", 429: "Too often.", 501: "Not done here.", 503: "Not now; try again.",
}  # fmt: skip


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of `operations`."""
    kinds = {kind for one in operations for kind in (one.answer, one.body) if kind is not None}
    _, components = msgspec.json.schema_components(
        sorted(kinds, key=lambda kind: kind.__name__), ref_template="#/components/schemas/{name}"
    )
    for component in components.values():
        _plain_pairs(component)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(ROOT + one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "trivet", "version": __version__, "description": "The native face of the drive."},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _problem_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _plain_pairs(schema: Any) -> None:
    """Tell of pairs as of lists of two; many readers of such documents know no `prefixItems`."""
    if isinstance(schema, dict):
        if schema.get("items") is False and (kinds := schema.pop("prefixItems", None)):
            schema["items"] = kinds[0]
        for inner in schema.values():
            _plain_pairs(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _plain_pairs(inner)


def _operation(one: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": one.handler.__module__.rpartition(".")[2] + "_" + one.handler.__name__,
        "summary": one.summary,
        "parameters": [_path_parameter(name) for name in re.findall(r"\{(\w+)", one.path)],
        "responses": {str(one.status): _answer(one)},
    }
    told["parameters"] += [_parameter(parameter) for parameter in one.parameters]
    if one.method == "DELETE" and one.answer is not None:
        told["responses"]["204"] = {"description": "Gone."}
    if one.status == 201 or (one.method == "PUT" and one.answer is not None):
        told["responses"].setdefault("200", _answer(one))
    if one.answer_kind != "application/json":
        told["responses"]["206"] = _answer(one)
        told["responses"]["304"] = {"description": "You know it already."}
    slow = {408} if one.body is not None or one.body_kind != "application/json" else set()
    for status in sorted({*one.errors, *_ALWAYS, *slow}):
        content = {} if status < 400 else {"content": _PROBLEM}
        told["responses"][str(status)] = {"description": _WORDS[status], **content}
    if one.body is not None:
        schema = {"$ref": f"#/components/schemas/{one.body.__name__}"}
        told["requestBody"] = {"required": one.body_required, "content": {one.body_kind: {"schema": schema}}}
    elif one.body_kind != "application/json":
        binary = {"schema": {"type": "string", "format": "binary"}}
        told["requestBody"] = {"required": True, "content": {one.body_kind: binary}}
    return told


def _answer(one: Operation) -> dict[str, Any]:
    if one.answer is None and one.answer_kind == "application/json":
        return {"description": "Done."}
    schema: dict[str, Any] = {}
    if one.answer is not None:
        schema = {"$ref": f"#/components/schemas/{one.answer.__name__}"}
    kind = one.answer_kind if one.answer is not None else "*/*"
    return {"description": "Done.", "content": {kind: {"schema": schema}}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {"name": one.name, "in": one.place, "description": one.says, "schema": one.schema}


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": text, "title": text, "status": {"type": "integer"}, "code": text, "detail": text,
            "request_id": text, "location": text, "holder": text, "expires_at_s": {"type": "number"},
            "declared": text, "detected": text, "suggested_name": text,
        },
    }  # fmt: skip

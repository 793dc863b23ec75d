"""A setting of ``audit.yaml`` in words, for ``auditor explain``."""

import json
from typing import Any


def explained_setting(path: str) -> str:
    """What a setting such as ``privacy.delta`` is, what it takes and its default; empty where there is none."""
    from auditor.config.schema import audit_schema
    from auditor.core.words import entry_of

    schema = audit_schema()
    node = schema
    for part in path.split("."):
        inside = (option.get("properties", {}) for option in _options(node, schema))
        found = next((properties[part] for properties in inside if part in properties), None)
        if found is None:
            return ""
        node = found
    parts = _options(node, schema)
    says = [text for option in (node, *parts) if (text := option.get("description"))]
    takes = " or ".join(dict.fromkeys(filter(None, map(_taken, parts))))
    holds = [name for option in parts for name in option.get("properties", {})]
    word = None if holds else entry_of(path.rpartition(".")[2])
    says += [word.says] if word else []
    said = [*dict.fromkeys(" ".join(text.split()) for text in says)]
    lines = [f"{path}: a setting of audit.yaml", "", *said, *([""] if said else [])]
    lines += [f"Takes: {takes}."] if takes else []
    lines += [f"Holds: {', '.join(holds)}."] if holds else []
    lines += [f"Default: {json.dumps(node['default'])}."] if node.get("default") is not None and not holds else []
    return "\n".join(lines)


def _options(node: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a node may be, references followed; never null."""
    found = []
    for option in node.get("anyOf") or [node]:
        name = option.get("$ref", "").rpartition("/")[2]
        found.append(schema["$defs"][name] if name else option)
    return [option for option in found if option.get("type") != "null"]


def _taken(option: dict[str, Any]) -> str:
    if "enum" in option or "const" in option:
        return ", ".join(map(str, option.get("enum") or [option["const"]]))
    if option.get("type") not in {"number", "integer", "string", "boolean", "array"}:
        return ""
    ends = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    said = " and ".join(f"{words} {option[key]:g}" for key, words in ends.items() if key in option)
    kind = {
        "integer": "a whole number",
        "number": "a number",
        "string": "a text",
        "boolean": "true or false",
        "array": "a list",
    }
    return f"{kind[option['type']]} {said}".strip()

"""The JSON Schema follows the settings."""

import json

from auditor.config.schema import audit_schema
from auditor.config.settings import AuditSettings


def test_schema_names_every_block_and_refuses_unknown_keys() -> None:
    schema = audit_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["properties"]) == list(AuditSettings.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["audit", "target", "federation", "privacy"]
    assert json.loads(json.dumps(schema)) == schema


def test_every_definition_is_described() -> None:
    definitions = audit_schema()["$defs"]
    assert all(definition.get("description") for definition in definitions.values())
    assert "clipping_norm" in definitions["PrivacySettings"]["properties"]

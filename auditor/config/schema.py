"""The JSON Schema of ``audit.yaml``, for editors that complete and check while one writes."""

from typing import Any

from auditor.config.settings import AuditSettings


def audit_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) generated from the settings classes, so that it cannot drift from them."""
    schema = AuditSettings.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "audit.yaml",
        **{key: value for key, value in schema.items() if key != "title"},
    }

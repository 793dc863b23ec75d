"""``auditor schema``: the JSON Schema of the settings file."""

import typer


def schema() -> None:
    """Print the JSON Schema of audit.yaml, for editors that complete and check while one writes."""
    import json

    from auditor.config.schema import audit_schema

    typer.echo(json.dumps(audit_schema(), indent=2, ensure_ascii=False))

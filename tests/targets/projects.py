"""Small audits written into a folder, for tests of loading."""

from pathlib import Path
from typing import Any

import yaml

from auditor.config.document import AuditDocument
from auditor.config.load import load_audit

BASE: dict[str, Any] = {
    "audit": {"name": "test", "release_context": "internal", "organisation": {"data_category": "public"}},
    "federation": {"algorithm": "fedavg", "clients": 4, "rounds": 2},
    "privacy": {"mechanism": "none"},
    "scenarios": ["honest-server"],
}


def write_audit(
    folder: Path, *, code: str, data: dict[str, Any], target: dict[str, Any] | None = None, **blocks: Any
) -> Path:
    """``audit.yaml`` and ``target.py``; ``data`` and ``target`` are settings of these blocks."""
    settings = {**BASE, **blocks}
    settings["target"] = {"model": "target.py:build", "modality": "image", **(target or {}), "data": data}
    (folder / "target.py").write_text(code)
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def document(folder: Path, **given: Any) -> AuditDocument:
    return load_audit(write_audit(folder, **given))


LINEAR = """
from torch import nn
def build(features, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(features, classes))
"""

CONV = """
from torch import nn
def build(classes):
    return nn.Sequential(
        nn.Conv2d({channels}, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, classes)
    )
"""

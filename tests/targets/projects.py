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

RESNET = """
import torch
from torch import nn
from torch.nn import functional as F
class Shortcut(nn.Module):
    def __init__(self, planes):
        super().__init__()
        self.planes = planes
    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.planes // 4, self.planes // 4))
class Block(nn.Module):
    def __init__(self, inside, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = Shortcut(planes) if stride != 1 else nn.Identity()
    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))
def stage(inside, planes):
    rest = [Block(planes, planes, 1) for _ in range({blocks} - 1)]
    return nn.Sequential(Block(inside, planes, planes // inside), *rest)
class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(16, 16)
        self.layer2 = stage(16, 32)
        self.layer3 = stage(32, 64)
        self.linear = nn.Linear(64, 10)
    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))
def build():
    return ResNet()
"""
"""The CIFAR-10 ResNets whose weights are public: 3 blocks a stage are ResNet-20, 9 are ResNet-56."""

"""Memory of gradient matching on large pictures: eight photographs of 224x224 pixels and a ResNet-18."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.papers, pytest.mark.timeout(1800)]

LIMIT = 6.0
"""GiB above what Python with torch takes. Two passes keep each activation of the batch for the second derivative."""

STEP = """
import resource, sys, torch
from torch import nn
from auditor.attacks.base import RunContext
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.observations.records import Records
from tests.attacks.inversion import cases

class Block(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.one = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(width)])
        same = stride == 1 and inputs == width
        self.beside = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return torch.relu(self.beside(x) + self.norms[1](self.two(torch.relu(self.norms[0](self.one(x))))))

def resnet18():
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2),
              (512, 512, 1)]
    return nn.Sequential(*stem, *(Block(*w) for w in widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))

torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
start = peak()
model = cases.shared_model(resnet18, input_shape=(3, 224, 224), preprocessing=cases.cifar_preprocessing(), records=8)
records = Records(torch.randn(8, 3, 224, 224), torch.arange(8))
update = cases.gradient_update(model, records)
found = GradientMatching(GradientMatching.Params(iterations=1, total_variation=WEIGHTS, record_gradients=None)).run(
    update, cases.known(model), RunContext(seed=1, batched=BATCHED))
assert found.inputs.shape == records.inputs.shape
print(peak() - start)
"""


@pytest.mark.parametrize(("weights", "batched"), [("(0.01,)", "False"), ("(0.05, 0.02, 0.01, 0.002)", "False")])
def test_eight_large_pictures_fit(weights: str, batched: str, repository: object) -> None:
    code = STEP.replace("WEIGHTS", weights).replace("BATCHED", batched)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=str(repository), check=False
    )
    assert done.returncode == 0, done.stderr
    print(f"grid {weights}: peak {float(done.stdout):.2f} GiB above the start")
    assert float(done.stdout) <= LIMIT

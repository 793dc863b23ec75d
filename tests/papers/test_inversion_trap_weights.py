"""Trap weights on photographs: a fully connected layer 3072-1000, twenty records."""

from pathlib import Path

import numpy as np
import pytest
import torch

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.trap_weights import TrapWeights
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from tests.attacks.inversion import cases

pytestmark = [pytest.mark.papers, pytest.mark.timeout(600)]


@pytest.mark.parametrize("first", [0, 100, 200])
def test_twenty_photographs(shared_data: Path, first: int) -> None:
    arrays = np.load(shared_data / "data" / "images" / "cifar10_lossless.npz", allow_pickle=False)
    values = torch.from_numpy(arrays["train_images"][:1000]).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (cases.CIFAR_MEAN, cases.CIFAR_STD))
    data = Records((values - mean) / std, torch.from_numpy(arrays["train_labels"][:1000]).long())
    model = cases.shared_model(
        cases.mlp(3072, 1000, classes=10), input_shape=(3, 32, 32), preprocessing=cases.cifar_preprocessing(),
        records=20,
    )  # fmt: skip
    records, known = data[first : first + 20], cases.known(model, data[500:])
    attack, context = TrapWeights(TrapWeights.Params()), RunContext(seed=7)
    sent = attack.alter(model, FunctionalModel(model).initial_state(0), known, context)
    update = cases.gradient_update(sent.model, records, state=dict(sent.state))
    found = attack.run(update, known, context)
    weight, bias = update.update["1.weight"], update.update["1.bias"]
    fired = bias.abs() > 0
    rows = best((weight[fired] / bias[fired, None]).reshape(-1, 3, 32, 32), records)
    returned = best(found.inputs, records)
    print(f"{int(fired.sum())} rows fired, {(rows.amax(1) > 30).float().mean():.2f} of them above 30 dB;",
          f"{(returned.amax(0) > 30).float().mean():.2f} of the records returned above 30 dB")  # fmt: skip
    assert float((rows.amax(1) > 30).float().mean()) >= 0.4
    assert float((returned.amax(0) > 30).float().mean()) >= 0.7


def best(found: torch.Tensor, records: Records) -> torch.Tensor:
    """PSNR of each output against each record, ``(outputs, records)``."""
    return torch.stack([cases.psnr(one[None].expand_as(records.inputs), records.inputs) for one in found])

"""Label recovery against known batches."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.evidence import find_head
from auditor.attacks.inversion.label_counts import whole_numbers
from auditor.attacks.inversion.labels import LabelRecovery
from auditor.core.errors import AttackFailed
from auditor.observations.records import Records
from tests.attacks.inversion import cases

MODEL = cases.shared_model(cases.mlp(64, 32, classes=10), input_shape=(1, 8, 8))


def digits() -> Records:
    data = load_digits()
    return Records(torch.from_numpy(data.images).float()[:, None] / 16, torch.from_numpy(data.target))


def recovered(update, population=None, model=MODEL):
    attack = LabelRecovery(LabelRecovery.Params())
    return attack.run(update, cases.known(model, population), RunContext(seed=3)).counts


@pytest.mark.parametrize("size", [1, 4, 16, 64])
def test_untrained_network_gives_exact_counts(size: int) -> None:
    batch = digits()[torch.randperm(1797, generator=torch.Generator().manual_seed(size))[:size]]
    counts = recovered(cases.gradient_update(MODEL, batch), digits()[-100:])
    assert counts.tolist() == torch.bincount(batch.labels, minlength=10).tolist()


def test_one_record_without_bias_gives_its_label() -> None:
    model = cases.shared_model(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10, bias=False)),
        input_shape=(1, 8, 8),
    )
    for i in range(10):
        update = cases.gradient_update(model, digits()[i : i + 1])
        assert int(recovered(update, model=model).argmax()) == int(digits().labels[i])


def test_weight_difference_of_several_steps() -> None:
    batch = digits()[:32]
    local = cases.recipe(algorithm="fedavg", batch_size=8, steps=8, epochs=2, learning_rate=0.05)
    counts = recovered(cases.fedavg_update(MODEL, batch, local), digits()[-100:])
    overlap = torch.minimum(counts, torch.bincount(batch.labels, minlength=10)).sum() / 32
    assert counts.sum() == 32
    assert overlap >= 0.9


def test_granted_labels_are_used_as_they_are() -> None:
    update = replace(cases.gradient_update(MODEL, digits()[:5]), labels=torch.tensor([1, 1, 2, 3, 9]))
    assert recovered(update).tolist() == [0, 2, 1, 1, 0, 0, 0, 0, 0, 1]


def test_a_network_without_linear_head_is_refused_with_a_reason() -> None:
    model = cases.shared_model(lambda: nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten()), input_shape=(1, 8, 8))
    assert find_head(model) is None
    with pytest.raises(AttackFailed, match="no linear classifier head"):
        recovered(cases.gradient_update(model, digits()[:4]), model=model)


def test_zero_update_is_refused() -> None:
    update = cases.gradient_update(MODEL, digits()[:4])
    silent = replace(update, update={name: torch.zeros_like(value) for name, value in update.update.items()})
    with pytest.raises(AttackFailed, match="zero everywhere"):
        recovered(silent)


def test_whole_numbers_add_up() -> None:
    assert whole_numbers(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), 7).tolist() == [4, 2, 1]

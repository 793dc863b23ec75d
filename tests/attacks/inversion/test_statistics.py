"""Batch-norm statistics as evidence."""

from dataclasses import replace

import torch
from torch import nn

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.gradient_matching import GradientMatching
from auditor.attacks.inversion.statistics import BatchStatistics
from auditor.learning.functional import FunctionalModel
from auditor.observations.records import Records
from tests.attacks.inversion import cases


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )  # fmt: skip


MODEL = cases.shared_model(normed, input_shape=(1, 8, 8))
RECORDS = Records(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(4))


def sent():
    local = cases.recipe(batch_norm="train")
    update = cases.gradient_update(MODEL, RECORDS, local=local)
    model = FunctionalModel(MODEL, batch_norm="train")
    return model, replace(update, buffers_after=model.call(update.before, RECORDS.inputs, training=True)[1])


def test_true_records_reproduce_the_statistics_and_others_do_not() -> None:
    model, update = sent()
    statistics = BatchStatistics.seen_in(update, model, steps=1, device="cpu")
    assert statistics is not None
    both = torch.stack([RECORDS.inputs, 3 * RECORDS.inputs + 1])
    true, other = statistics.distance(both, batched=False)
    assert float(true) < 1e-10
    assert float(other) > 0.1


def test_statistics_that_did_not_move_are_no_evidence() -> None:
    model, update = sent()
    still = replace(update, buffers_after={name: update.before[name] for name in update.buffers_after or {}})
    assert BatchStatistics.seen_in(still, model, steps=1, device="cpu") is None
    assert BatchStatistics.seen_in(replace(update, buffers_after=None), model, steps=1, device="cpu") is None


def test_the_attack_uses_them_and_says_so() -> None:
    model, update = sent()
    attack = GradientMatching(GradientMatching.Params(iterations=60, total_variation=(0.01, 0.002)))
    found = attack.run(update, cases.known(MODEL), RunContext(seed=0))
    blind = attack.run(replace(update, buffers_after=None), cases.known(MODEL), RunContext(seed=0))
    statistics = BatchStatistics.seen_in(update, model, steps=1, device="cpu")
    assert statistics is not None
    with_them, without = statistics.distance(torch.stack([found.inputs, blind.inputs]), batched=False)
    assert any("statistics" in note for note in found.notes)
    assert not any("statistics" in note for note in blind.notes)
    assert float(with_them) < float(without)

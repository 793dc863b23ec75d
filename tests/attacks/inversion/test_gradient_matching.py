"""Gradient matching on small networks: images, tables, series; defences; time limits."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.distance import Distance
from auditor.attacks.inversion.gradient_matching import GradientMatching, choose
from auditor.core.shape import Modality, Task
from auditor.observations.model import Column, Preprocessing, Privatisation
from auditor.observations.records import Records
from tests.attacks.inversion import cases


def tiny() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(1024, 10),
    )  # fmt: skip


IMAGES = cases.shared_model(tiny, input_shape=(1, 8, 8), preprocessing=Preprocessing(mean=(0.5,), std=(0.5,)))


def picture(n: int = 1) -> Records:
    ramp = torch.linspace(-1, 1, 8)
    pictures = torch.stack([(ramp[:, None] * ramp[None] * (1 - i / 4)).roll(i, 0)[None] for i in range(n)])
    return Records(pictures, torch.arange(n) % 10)


def attacked(update, model=IMAGES, *, deadline=None, population=None, **params):
    attack = GradientMatching(GradientMatching.Params(**{"iterations": 150, **params}))
    return attack.run(update, cases.known(model, population), RunContext(seed=5, deadline=deadline))


def error(found, records) -> float:
    return float((found.inputs - records.inputs).square().mean())


def test_picture_is_found_and_so_is_its_label() -> None:
    records = picture()
    found = attacked(cases.gradient_update(IMAGES, records))
    assert error(found, records) < 0.01
    assert found.labels.tolist() == [0]


def test_weight_difference_is_unrolled() -> None:
    records = picture(2)
    local = cases.recipe(algorithm="fedavg", batch_size=1, steps=2, learning_rate=0.05)
    update = cases.fedavg_update(IMAGES, records, local)
    found = attacked(update)
    assert found.objective < 0.02
    assert not any("read as one gradient" in note for note in found.notes)


def test_many_local_steps_are_read_as_one_gradient_and_said_so() -> None:
    local = cases.recipe(algorithm="fedavg", batch_size=1, steps=2, learning_rate=0.05)
    found = attacked(cases.fedavg_update(IMAGES, picture(2), local), unrolled_steps=1, iterations=5)
    assert any("2 local steps were read as one gradient" in note for note in found.notes)


def test_deadline_in_the_past_returns_what_there_is() -> None:
    began = time.monotonic()
    found = attacked(cases.gradient_update(IMAGES, picture()), deadline=began - 1, iterations=10**6)
    assert found.inputs.shape == (1, 1, 8, 8)
    assert found.iterations == 0
    assert time.monotonic() - began < 10


def test_same_seed_same_output() -> None:
    update = cases.gradient_update(IMAGES, picture())
    first, second = (attacked(update, iterations=10, total_variation=(0.01,)) for _ in range(2))
    assert torch.equal(first.inputs, second.inputs)


def test_table_with_categories() -> None:
    columns = (Column("colour", 0, 4, "categorical"), *(Column(f"x{i}", i, i + 1, "continuous") for i in (4, 5)))
    model = cases.shared_model(
        cases.mlp(6, 64, 64, classes=2), input_shape=(6,), classes=2, modality=Modality.TABULAR,
        preprocessing=Preprocessing(columns=columns),
    )  # fmt: skip
    records = Records(torch.tensor([[0.0, 0, 1, 0, 0.7, -1.2]]), torch.tensor([1]))
    found = attacked(cases.gradient_update(model, records), model, restarts=4, iterations=500)
    assert torch.equal(found.inputs[:, :4], records.inputs[:, :4])
    assert torch.allclose(found.inputs, records.inputs, atol=0.05)


def test_regression_on_a_series_searches_the_target_too() -> None:
    model = cases.shared_model(
        cases.mlp(16, 64, classes=1), input_shape=(1, 16), classes=1, modality=Modality.TIMESERIES,
        task=Task.REGRESSION,
    )  # fmt: skip
    series = torch.sin(torch.linspace(0, 6, 16)).reshape(1, 1, 16)
    records = Records(series, torch.tensor([[0.5]]))
    found = attacked(cases.gradient_update(model, records), model, iterations=400, total_variation=(0.0, 0.001))
    assert float((found.inputs - series).norm() / series.norm()) < 0.2


def test_pruned_coordinates_are_not_compared() -> None:
    update = cases.gradient_update(IMAGES, picture())
    pruned = {name: value * (value.abs() > value.abs().median()) for name, value in update.update.items()}
    seen = replace(update, update=pruned, privatisation=Privatisation(kept_fraction=0.5))
    distance = Distance.to(seen, kind="cosine", device="cpu")
    assert float(distance({name: value[None] for name, value in update.update.items()})) == pytest.approx(0, abs=1e-5)


def test_values_within_a_quantisation_bin_agree() -> None:
    update = cases.gradient_update(IMAGES, picture())
    step = {name: float(value.abs().max()) / 7 for name, value in update.update.items()}
    rounded = {name: (value / step[name]).round() * step[name] for name, value in update.update.items()}
    seen = replace(update, update=rounded, privatisation=Privatisation(quantise_bits=4))
    distance = Distance.to(seen, kind="cosine", device="cpu")
    assert float(distance({name: value[None] for name, value in update.update.items()})) < 1e-4


def test_under_noise_the_smoothest_that_fits_is_chosen() -> None:
    distances, weights = torch.tensor([0.30, 0.19, 0.05]), torch.tensor([0.2, 0.05, 0.002])
    assert choose(distances, weights, attainable=0.2) == 1
    assert choose(distances, weights, attainable=0.0) == 2
    assert choose(torch.tensor([0.3, 0.054, 0.05]), weights, attainable=0.0) == 1


def test_clipped_records_are_replayed_clipped() -> None:
    from auditor.learning.functional import FunctionalModel

    records = picture(2)
    update = cases.gradient_update(IMAGES, records)
    each = FunctionalModel(IMAGES).per_record_gradients(update.before, records)
    norms = torch.stack([value.flatten(1).square().sum(1) for value in each.values()]).sum(0).sqrt()
    norm = float(norms.min()) / 2
    clipped = {
        name: (value * (norm / norms).reshape(-1, *[1] * (value.ndim - 1))).mean(0) for name, value in each.items()
    }
    seen = replace(update, update=clipped, privatisation=Privatisation(clipping_norm=norm, clipped="record"))
    found = attacked(seen, iterations=100)
    assert found.objective < 0.05


def test_cost_is_what_the_search_uses() -> None:
    attack = GradientMatching(GradientMatching.Params(iterations=1000, record_gradients=40_000))
    shape = IMAGES.shape
    assert attack.cost(shape).gradient_evaluations == 3 * 1000 * 4
    large = shape.model_copy(update={"records_per_update": 50, "local_steps": 26})
    assert attack.cost(large).gradient_evaluations == 3 * 200 * 4


def test_batches_beyond_reach_are_said_not_to_be_tried() -> None:
    attack = GradientMatching(GradientMatching.Params(records=8))
    assert attack.unmet(IMAGES.shape) == []
    (reason,) = attack.unmet(IMAGES.shape.model_copy(update={"records_per_update": 9}))
    assert "at most 8 records" in reason


class Attending(nn.Module):
    """Short series through ``nn.MultiheadAttention``, whose fused kernels have no second derivative on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16 * 6, 4)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        inner = self.inner(series)
        mixed, _ = self.attention(inner, inner, inner, need_weights=False)
        return self.head((inner + mixed).flatten(1))


@pytest.mark.parametrize("batched", [False, True])
def test_a_model_with_attention_is_matched(batched: bool) -> None:
    model = cases.shared_model(Attending, input_shape=(6, 3), classes=4, modality=Modality.TIMESERIES)
    generator = torch.Generator().manual_seed(3)
    records = Records(torch.randn(1, 6, 3, generator=generator), torch.tensor([2]))
    attack = GradientMatching(GradientMatching.Params(iterations=150, total_variation=(0.0, 0.001)))
    context = RunContext(seed=2, batched=batched)
    found = attack.run(cases.gradient_update(model, records), cases.known(model), context)
    assert found.objective is not None
    assert found.objective < 0.01
    assert float((found.inputs - records.inputs).square().mean()) < 0.1

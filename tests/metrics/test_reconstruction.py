"""Reconstruction metrics: assignment, calibrated recovery, floors and intervals."""

import numpy as np
import pytest
import torch
from scipy import stats

from auditor.core.measurement import ONE_UPDATE
from auditor.core.shape import Modality, TargetShape, Task
from auditor.metrics.clustered import design_effect, mean_interval, share_interval
from auditor.metrics.intervals import clopper_pearson
from auditor.metrics.labels import measure_labels
from auditor.metrics.reconstruction import measure_reconstruction
from auditor.metrics.similarity import negative_relative_error, psnr, ssim, ssim_window, token_accuracy
from auditor.observations.model import Column, Preprocessing, SharedModel
from auditor.observations.records import Records
from auditor.observations.returned import Reconstruction, RecoveredLabels

GENERATOR = torch.Generator().manual_seed(0)


def model(modality: Modality, input_shape: tuple[int, ...], preprocessing: Preprocessing | None = None) -> SharedModel:
    shape = TargetShape(
        modality=modality, task=Task.CLASSIFICATION, classes=10, input_shape=input_shape, parameters=1,
        traits=frozenset(), members=1, nonmembers=1, population=1, records_per_client=1, records_per_update=1,
        local_steps=1, aggregated_clients=1,
    )  # fmt: skip
    return SharedModel(lambda: torch.nn.Identity(), lambda a, b: a, shape, preprocessing or Preprocessing())


IMAGES = model(Modality.IMAGE, (1, 16, 16), Preprocessing(mean=(0.5,), std=(0.5,)))


def pictures(n: int, seed: int) -> Records:
    generator = torch.Generator().manual_seed(seed)
    return Records(torch.rand(n, 1, 16, 16, generator=generator) * 2 - 1, torch.zeros(n, dtype=torch.int64))


def measured(outputs, truths, *, of=IMAGES, population=None):
    found = measure_reconstruction(outputs, truths, population=population or pictures(60, 9), model=of, seed=1)
    return {measurement.metric: measurement for measurement in found}


def noisy(records: Records, amount: float) -> Reconstruction:
    return Reconstruction(records.inputs + amount * torch.randn(records.inputs.shape, generator=GENERATOR))


def test_outputs_in_another_order_are_all_recovered() -> None:
    truth = pictures(5, 1)
    found = measured([Reconstruction(truth.inputs.flip(0))], [truth])
    assert found["recovered_share"].value == 1.0
    assert found["psnr"].value == 100.0
    assert found["ssim"].value == pytest.approx(1.0)


def test_population_records_are_never_recovered() -> None:
    truths = [pictures(4, seed) for seed in range(5)]
    found = measured([Reconstruction(pictures(4, 50 + seed).inputs) for seed in range(5)], truths)
    assert found["recovered_share"].value == 0.0
    assert found["recovered_share"].floor == 0.0
    assert found["psnr"].value < 12
    assert found["psnr"].floor == pytest.approx(found["psnr"].value, abs=4)


def test_no_output_is_not_recovered_and_scores_as_the_mean_record() -> None:
    truth = pictures(3, 2)
    found = measured([Reconstruction(torch.empty(0, 1, 16, 16))], [truth])
    assert found["recovered_share"].value == 0.0
    assert f"mean record {found['psnr'].value:.3g}" in found["psnr"].floor_is


def test_more_outputs_than_records_are_assigned_to_the_best() -> None:
    truth = pictures(2, 3)
    outputs = torch.cat([pictures(6, 4).inputs, truth.inputs])
    assert measured([Reconstruction(outputs)], [truth])["recovered_share"].value == 1.0


def test_close_to_a_record_counts_only_above_the_fixed_least_quality() -> None:
    truth = pictures(8, 5)
    good, poor = measured([noisy(truth, 0.1)], [truth]), measured([noisy(truth, 0.6)], [truth])
    assert good["recovered_share"].value == 1.0
    assert poor["recovered_share"].value == 0.0
    assert poor["psnr"].value > poor["psnr"].floor


def test_interval_is_exact_for_single_records() -> None:
    truths = [pictures(1, seed) for seed in range(10)]
    outputs = [noisy(truth, 0.01 if i < 3 else 2.0) for i, truth in enumerate(truths)]
    interval = measured(outputs, truths)["recovered_share"].interval
    assert (interval.low, interval.high) == pytest.approx((stats.beta.ppf(0.025, 3, 8), stats.beta.ppf(0.975, 4, 7)))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="0 reconstructions for 1 updates"):
        measured([], [pictures(1, 0)])


def test_table_cells() -> None:
    columns = (Column("kind", 0, 3, "categorical"), Column("age", 3, 4, "continuous"))
    table = model(Modality.TABULAR, (4,), Preprocessing(columns=columns))
    generator = torch.Generator().manual_seed(1)
    kinds = torch.nn.functional.one_hot(torch.randint(3, (200,), generator=generator), 3)
    population = Records(torch.cat([kinds, torch.randn(200, 1, generator=generator)], 1), torch.zeros(200))
    truth = Records(torch.tensor([[1.0, 0, 0, 0.5], [0, 1, 0, -3.0]]), torch.zeros(2))
    guess = truth.inputs + torch.tensor([[0, 0, 0, 0.2], [0, 0, 0, 0.5]])
    found = measured([Reconstruction(guess)], [truth], of=table, population=population)
    assert found["cell_accuracy"].value == 0.75
    assert found["exact_row_share"].value == 0.5


def test_a_row_that_chance_often_gives_is_not_recovered() -> None:
    columns = (Column("a", 0, 2, "categorical"), Column("b", 2, 4, "categorical"))
    table = model(Modality.TABULAR, (4,), Preprocessing(columns=columns))
    common = torch.tensor([[1.0, 0, 1, 0]])
    found = measured(
        [Reconstruction(common)], [Records(common, torch.zeros(1))], of=table,
        population=Records(common.repeat(50, 1), torch.zeros(50)),
    )  # fmt: skip
    assert found["exact_row_share"].value == 1.0
    assert found["recovered_share"].value == 0.0


def test_series_error_falls_with_quality() -> None:
    series = model(Modality.TIMESERIES, (1, 50))
    grid = torch.linspace(0, 6, 50)
    truth = Records(torch.sin(grid).reshape(1, 1, 50), torch.zeros(1))
    population = Records(torch.randn(40, 1, 50, generator=GENERATOR), torch.zeros(40))
    found = measured([Reconstruction(truth.inputs * 1.1)], [truth], of=series, population=population)
    assert found["recovered_share"].value == 1.0
    assert 0.05 < found["relative_error"].value < 0.2
    assert not found["relative_error"].higher_is_worse


def test_psnr_of_a_known_error() -> None:
    truth = np.zeros((1, 1, 4, 4))
    assert psnr(truth + 0.1, truth)[0, 0] == pytest.approx(20.0)
    assert psnr(truth, truth)[0, 0] == 100.0


def test_ssim_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 1, 14, 13)), rng.random((1, 1, 14, 13))
    places = np.arange(11) - 5
    window = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / 4.5)
    window /= window.sum()
    values = []
    for i in range(4):
        for j in range(3):
            x, y = a[0, 0, i : i + 11, j : j + 11], b[0, 0, i : i + 11, j : j + 11]
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            vxy = (window * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + 1e-4) * (2 * vxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    assert ssim(a, b)[0, 0] == pytest.approx(np.mean(values))


@pytest.mark.parametrize(("side", "window"), [(32, 11), (11, 11), (8, 7), (3, 3), (1, 1)])
def test_ssim_window_fits_small_pictures(side: int, window: int) -> None:
    assert ssim_window((1, side, side)) == window
    picture = np.random.default_rng(0).random((1, 1, side, side))
    assert ssim(picture, picture)[0, 0] == pytest.approx(1.0)


def test_tokens_and_padding() -> None:
    truth = np.array([[5, 0, 7, 0, 0]])
    assert token_accuracy(np.array([[5, 0, 8, 1, 1]]), truth)[0, 0] == pytest.approx(2 / 3)


def test_flat_line_has_relative_error_one() -> None:
    series = np.sin(np.linspace(0, 6, 30))[None]
    assert negative_relative_error(np.full((1, 30), series.mean()), series)[0, 0] == pytest.approx(-1.0)


def test_records_of_one_update_that_fall_together_widen_the_interval() -> None:
    together = [np.ones(8), np.zeros(8), np.ones(8), np.zeros(8), np.zeros(8)]
    mixed = [np.array([1, 1, 1, 0, 0, 0, 0, 0.0])] * 5
    assert design_effect(together) == pytest.approx(8.0)
    assert design_effect(mixed) == 1.0
    wide, narrow = share_interval(together), share_interval(mixed)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    fewer = 40 * (2.0227 / 2.7764) ** 2  # Student's quantiles for 40 records and for 5 updates
    low = stats.beta.ppf(0.025, 0.375 * fewer, 0.625 * fewer + 1)
    high = stats.beta.ppf(0.975, 0.375 * fewer + 1, 0.625 * fewer)
    assert (narrow.low, narrow.high) == pytest.approx((low, high), abs=1e-3)


def test_few_updates_without_a_hit_show_little() -> None:
    """The upper end is that of Korn and Graubard with their factor for few clusters, and far from plain counting."""
    none = np.zeros(41)
    assert share_interval([none] * 2).high == pytest.approx(0.84, abs=0.02)
    assert share_interval([none] * 4).high == pytest.approx(0.055, abs=0.005)
    assert share_interval([none] * 8).high < 0.02
    assert share_interval([np.zeros(1)] * 82).high == pytest.approx(clopper_pearson(0, 82).high)


def test_one_update_speaks_of_its_own_records_alone() -> None:
    assert share_interval([np.zeros(41)]).over == ONE_UPDATE
    assert share_interval([np.zeros(41), np.zeros(0)]).over == ONE_UPDATE
    assert share_interval([np.zeros(41)] * 2).over != ONE_UPDATE


def test_one_value_has_no_spread() -> None:
    interval = mean_interval([np.array([20.0])], lowest=0.0, highest=100.0)
    assert (interval.low, interval.high) == (0.0, 100.0)


def test_labels() -> None:
    truths = [Records(torch.zeros(4, 1), torch.tensor([0, 0, 1, 2])), Records(torch.zeros(2, 1), torch.tensor([2, 2]))]
    outputs = [RecoveredLabels(torch.tensor([1, 2, 1])), RecoveredLabels(torch.tensor([0, 0, 2]))]
    population = torch.tensor([0, 0, 1, 2, 2, 2])
    (found,) = measure_labels(outputs, truths, classes=3, population=population)
    assert found.value == pytest.approx(5 / 6)
    assert found.n == 6
    assert found.floor == pytest.approx(4 / 6)


def test_a_guess_from_the_label_alone_is_no_recovery() -> None:
    """Classes of pictures that differ little within: their means are nearer to a record than other records are."""
    generator = torch.Generator().manual_seed(0)
    centres, labels = torch.rand(10, 1, 16, 16, generator=generator) * 2 - 1, torch.arange(2004) % 10
    values = (centres[labels] + 0.2 * torch.randn(2004, 1, 16, 16, generator=generator)).clamp(-1, 1)
    everything = Records(values, labels)
    truth, population = everything[:4], everything[4:]
    means = torch.stack([population.inputs[population.labels == k].mean(0) for k in range(10)])
    found = measured([Reconstruction(means[truth.labels])], [truth], population=population)
    assert found["recovered_share"].value == 0
    assert "and than the mean record of its class" in found["recovered_share"].method
    assert measured([Reconstruction(truth.inputs)], [truth], population=population)["recovered_share"].value == 1
    unlabelled = [Records(records.inputs, records.labels.float()) for records in (truth, population)]
    alike = measured([Reconstruction(means[truth.labels])], unlabelled[:1], population=unlabelled[1])
    assert alike["recovered_share"].value > 0, "the case is one that the mean of a class would pass otherwise"

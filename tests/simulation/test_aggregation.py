"""How updates are combined and compressed."""

import pytest
import torch

from auditor.config.settings import AggregationSettings, UpdateSettings
from auditor.simulation.aggregation import check_aggregation, combine, combine_buffers, krum_choice
from auditor.simulation.compression import compress, kept_fraction, quantise, sent_names
from auditor.simulation.errors import SimulationError


def _updates(*rows: list[float]) -> list[dict[str, torch.Tensor]]:
    return [{"w": torch.tensor(row)} for row in rows]


def test_weighted_mean() -> None:
    found = combine(_updates([0.0, 4.0], [4.0, 0.0]), [3.0, 1.0], "mean")
    torch.testing.assert_close(found["w"], torch.tensor([1.0, 3.0]))


def test_median_of_even_and_odd() -> None:
    odd = combine(_updates([1.0], [9.0], [2.0]), [1, 1, 1], "median")
    even = combine(_updates([1.0], [9.0], [2.0], [4.0]), [1, 1, 1, 1], "median")
    assert odd["w"].item() == 2.0
    assert even["w"].item() == 3.0


def test_trimmed_mean_cuts_both_ends() -> None:
    found = combine(_updates([-100.0], [1.0], [2.0], [3.0], [100.0]), [1] * 5, "trimmed_mean")
    assert found["w"].item() == 2.0


def test_krum_takes_one_of_the_crowd() -> None:
    updates = _updates([0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [0.05, 0.05], [50.0, -50.0], [60.0, 40.0], [0.02, 0.02])
    assert krum_choice(updates) in (3, 6)
    assert torch.equal(combine(updates, [1] * 7, "krum")["w"], updates[krum_choice(updates)]["w"])


@pytest.mark.parametrize("rule", ["median", "trimmed_mean", "krum"])
def test_robust_rules_withstand_one_liar(rule: str) -> None:
    generator = torch.Generator().manual_seed(0)
    honest = [{"w": 1 + 0.1 * torch.randn(5, generator=generator)} for _ in range(6)]
    found = combine([*honest, {"w": torch.full((5,), 1e6)}], [1] * 7, rule)
    assert (found["w"] - 1).abs().max() < 0.5


@pytest.mark.parametrize("rule", ["mean", "median", "trimmed_mean", "krum"])
def test_one_update_is_itself(rule: str) -> None:
    assert combine(_updates([1.0, -2.0]), [5.0], rule)["w"].tolist() == [1.0, -2.0]


def test_buffers_are_averaged_and_counters_not() -> None:
    rows = [
        {"mean": torch.tensor([0.0]), "seen": torch.tensor(4)},
        {"mean": torch.tensor([4.0]), "seen": torch.tensor(7)},
    ]
    found = combine_buffers(rows, [3.0, 1.0])
    assert found["mean"].item() == 1.0
    assert found["seen"].item() == 7


def test_robust_rules_need_single_updates() -> None:
    settings = AggregationSettings.model_validate({"rule": "krum", "secure": {"enabled": True}})
    with pytest.raises(SimulationError, match="which secure aggregation hides"):
        check_aggregation(settings)


def test_layers_are_chosen_by_name() -> None:
    names = ("conv1.weight", "conv1.bias", "conv10.weight", "head.weight")
    assert sent_names(UpdateSettings(layers=("conv1",)), names) == ("conv1.weight", "conv1.bias")
    assert sent_names(UpdateSettings(layers=("head.weight",)), names) == ("head.weight",)
    assert sent_names(UpdateSettings(), names) == names
    with pytest.raises(SimulationError, match=r"'fc'.*conv1, conv10, head"):
        sent_names(UpdateSettings(layers=("fc",)), names)


def test_top_k_keeps_the_largest_over_all_tensors() -> None:
    values = {"a": torch.tensor([1.0, -9.0]), "b": torch.tensor([[3.0, 0.5]])}
    found = compress(values, UpdateSettings(top_k=0.5))
    assert found["a"].tolist() == [0.0, -9.0]
    assert found["b"].tolist() == [[3.0, 0.0]]


def test_prune_zeroes_the_smallest_of_each_tensor() -> None:
    values = {"a": torch.tensor([1.0, -2.0, 3.0, -4.0]), "b": torch.tensor([10.0, 20.0])}
    found = compress(values, UpdateSettings(prune=0.5))
    assert found["a"].tolist() == [0.0, 0.0, 3.0, -4.0]
    assert found["b"].tolist() == [0.0, 20.0]


def test_ties_do_not_keep_more_than_asked() -> None:
    found = compress({"a": torch.ones(10)}, UpdateSettings(top_k=0.3))
    assert found["a"].count_nonzero() == 3
    assert kept_fraction(UpdateSettings(top_k=0.3, prune=0.9)) == pytest.approx(0.1)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantisation_error_is_at_most_half_a_step(bits: int) -> None:
    values = torch.randn(500, generator=torch.Generator().manual_seed(0))
    found = quantise(values, bits)
    step = values.abs().max() / (2 ** (bits - 1) - 1)
    assert (found - values).abs().max() <= step / 2 * 1.001
    assert len(found.unique()) <= 2**bits - 1
    torch.testing.assert_close(found.abs().max(), values.abs().max())


def test_one_bit_is_sign_times_mean_magnitude() -> None:
    assert quantise(torch.tensor([1.0, -3.0, 0.0, 2.0]), 1).tolist() == [2.0, -2.0, 0.0, 2.0]
    assert quantise(torch.zeros(3), 1).tolist() == [0.0] * 3
    assert quantise(torch.zeros(3), 4).tolist() == [0.0] * 3


def test_quantisation_keeps_pruned_coordinates_at_zero() -> None:
    values = {"a": torch.randn(100, generator=torch.Generator().manual_seed(1))}
    found = compress(values, UpdateSettings(top_k=0.2, quantise_bits=4))["a"]
    assert found.count_nonzero() <= 20

"""The federated cases: figures from the research table, and relations that must hold between cases."""

import math

import pytest

from auditor.accounting.account import account
from auditor.accounting.closed_forms import gaussian_epsilon
from auditor.accounting.spec import Adjacency, Noise, Participation, PrivacySpec, Refused, Sampler, Trust, Unit
from auditor.core.privacy import Agreement
from tests.accounting.specs import OWN, poisson_spec


@pytest.mark.parametrize(("honest", "expected"), [(1.0, 2.13), (0.9, 2.39), (0.75, 2.99), (0.5, 5.29), (0.33, 9.98)])
def test_missing_shares_of_distributed_noise(honest: float, expected: float) -> None:
    spec = poisson_spec((1.0, 0.01, 1000), delta=1e-6, trust=Trust.DISTRIBUTED, honest_fraction=honest)
    assert account(spec, OWN).upper == pytest.approx(expected, abs=0.01)


def test_fixed_cohort_lies_between_poisson_and_the_renyi_bound() -> None:
    replaced = poisson_spec((1.0, 0.1, 100), delta=1e-6, adjacency="replace_one", sampler="fixed_size")
    found = account(replaced, OWN)
    exact = account(replaced.model_copy(update={"sampler": Sampler.POISSON}), OWN)
    assert found.exactness == "bound"
    assert found.agreement is Agreement.BOUND_ONLY
    assert found.lower == pytest.approx(exact.lower, rel=1e-3)
    assert found.lower < found.upper
    assert any("does not apply" in warning for warning in found.warnings)


def test_fixed_cohort_is_no_looser_than_dp_accountings_renyi_bound() -> None:
    from dp_accounting import NeighboringRelation, dp_event
    from dp_accounting.rdp import RdpAccountant

    # It takes noise over the replace-one sensitivity, which is twice the clip.
    for delta in (1e-5, 1e-8):
        spec = poisson_spec((1.0, 0.1, 100), delta=delta, adjacency="replace_one", sampler="fixed_size")
        renyi = RdpAccountant(neighboring_relation=NeighboringRelation.REPLACE_ONE)
        renyi.compose(dp_event.SampledWithoutReplacementDpEvent(1000, 100, dp_event.GaussianDpEvent(0.5)), 100)
        assert account(spec, OWN).upper <= renyi.get_epsilon(delta)


def test_shuffled_batches_of_chua() -> None:
    spec = poisson_spec((0.5, 1e-4, 10_000), delta=1e-6, sampler="shuffled", adjacency="zero_out")
    found = account(spec, OWN)
    assert found.lower == pytest.approx(10.995, abs=0.02)
    assert found.upper == pytest.approx(10.997, abs=0.01)
    poisson = account(spec.model_copy(update={"sampler": Sampler.POISSON}), OWN)
    assert poisson.upper == pytest.approx(1.953, abs=0.005)


def test_shuffled_passes_compose() -> None:
    once = account(poisson_spec((2.0, 0.01, 100), delta=1e-6, sampler="shuffled"), OWN)
    thrice = account(poisson_spec((2.0, 0.01, 300), delta=1e-6, sampler="shuffled"), OWN)
    assert thrice.upper == pytest.approx(gaussian_epsilon(math.sqrt(3) / 2, 1e-6), rel=1e-9)
    assert once.lower < thrice.lower <= thrice.upper


@pytest.mark.parametrize(("steps", "expected"), [(1, 1.99), (10, 7.51), (100, 33.1)])
def test_local_noise_counts_any_two_updates(steps: int, expected: float) -> None:
    spec = poisson_spec(
        (4.0, 1.0, steps), delta=1e-5, sampler="full", trust=Trust.LOCAL, counts_as=Adjacency.REPLACE_ONE
    )
    assert account(spec, OWN).upper == pytest.approx(expected, rel=3e-3)


def test_person_with_several_records() -> None:
    # sigma, q, T of the table are not given; the group bound must lie between one record and a k-fold clip.
    one = account(poisson_spec((1.12, 0.004267, 1000), delta=1e-5), OWN)
    five = account(poisson_spec((1.12, 0.004267, 1000), delta=1e-5, records_per_unit=5), OWN)
    together = account(poisson_spec((1.12 / 5, 5 * 0.004267, 1000), delta=1e-5), OWN)
    assert 2 * one.upper < five.lower <= five.upper < together.lower


def test_group_bracket_agrees_with_dp_accountings_mixture() -> None:
    from dp_accounting.pld import privacy_loss_distribution
    from scipy import stats

    spec = poisson_spec((2.0, 0.05, 20), delta=1e-5, records_per_unit=3)
    found = account(spec, OWN)
    weights = stats.binom.pmf(range(4), 3, 0.05)
    mixture = privacy_loss_distribution.from_mixture_gaussian_mechanism(
        2.0, sensitivities=[0.0, 1.0, 2.0, 3.0], sampling_probs=list(weights), value_discretization_interval=1e-3
    )
    peer = mixture.self_compose(20).get_epsilon_for_delta(1e-5)
    assert found.lower <= peer + 1e-6
    assert found.upper == pytest.approx(peer, rel=2e-3)


def test_replace_one_costs_more_than_add_or_remove() -> None:
    added = account(poisson_spec((1.12, 0.0042666667, 14063), delta=1e-5), OWN)
    replaced = account(poisson_spec((1.12, 0.0042666667, 14063), delta=1e-5, adjacency="replace_one"), OWN)
    assert added.upper == pytest.approx(2.31, abs=0.01)
    assert replaced.upper == pytest.approx(4.12, abs=0.01)


def test_tree_aggregation_is_exact_for_one_participation() -> None:
    spec = poisson_spec(
        (5.0, 1.0, 100), delta=1e-6, sampler="full", noise=Noise.TREE, participation=Participation(most=1)
    )
    found = account(spec, OWN)
    assert found.exactness == "exact"
    assert found.upper == pytest.approx(2.399, abs=1e-3)


def test_matrix_factorisation_uses_the_sensitivity_of_the_strategy() -> None:
    identity = tuple(tuple(float(row == column) for column in range(16)) for row in range(16))
    spec = poisson_spec(
        (4.0, 1.0, 16),
        delta=1e-6,
        sampler="full",
        noise=Noise.MATRIX,
        strategy=identity,
        participation=Participation(most=4, separation=4),
    )
    assert account(spec, OWN).upper == pytest.approx(gaussian_epsilon(2 / 4.0, 1e-6), rel=1e-9)


def test_discrete_noise_is_a_bound_above_the_gaussian() -> None:
    gaussian = account(poisson_spec((2.0, 1.0, 10), delta=1e-6, sampler="full"), OWN)
    for noise in (Noise.DISCRETE_GAUSSIAN, Noise.SKELLAM):
        spec = poisson_spec(
            (2.0, 1.0, 10), delta=1e-6, sampler="full", noise=noise, dimension=1000, scale=1000.0, noisers=10
        )
        found = account(spec, OWN)
        assert gaussian.upper < found.upper < 1.2 * gaussian.upper
        assert (found.exactness, found.lower) == ("bound", 0.0)


def test_coarse_grid_of_discrete_noise_costs_privacy() -> None:
    def epsilon(scale: float) -> float:
        spec = poisson_spec(
            (2.0, 1.0, 10), delta=1e-6, sampler="full", noise=Noise.SKELLAM, dimension=1000, scale=scale
        )
        return account(spec, OWN).upper

    assert epsilon(2.0) > epsilon(50.0)


def test_tuning_and_adaptive_clipping_cost() -> None:
    spec = poisson_spec((1.2, 0.01, 500), delta=1e-6)
    plain = account(spec, OWN).upper
    assert account(spec.model_copy(update={"tuning_runs": 4}), OWN).lower > plain
    assert account(spec.model_copy(update={"count_noise": 2.0}), OWN).lower > plain
    assert account(spec.model_copy(update={"count_noise": 0.0}), OWN).upper == math.inf


def test_no_noise_is_infinite() -> None:
    assert account(poisson_spec((0.0, 0.01, 5), delta=1e-6)).upper == math.inf


def test_what_has_no_bound_is_refused() -> None:
    with pytest.raises(Refused, match="all of a person's records"):
        account(poisson_spec((1.0, 0.01, 5), delta=1e-6, adjacency="replace_one", records_per_unit=3))


def test_unit_adjacency_and_sampler_have_no_default() -> None:
    full = poisson_spec((1.0, 0.5, 2), delta=1e-5).model_dump()
    for name in ("unit", "adjacency", "sampler"):
        with pytest.raises(ValueError, match=name):
            PrivacySpec(**{key: value for key, value in full.items() if key != name})
    assert Unit(full["unit"]) is Unit.CLIENT

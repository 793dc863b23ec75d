"""Caps on attacks: never below the truth, and as tight as the closed forms."""

import time

import numpy as np
import pytest
from scipy import special

from auditor.accounting import pairs
from auditor.accounting.bracket import LossEngine
from auditor.accounting.caps import (
    FPRS,
    GaussianProfile,
    GridProfile,
    attack_caps,
    attribute_inference,
    gdp_mu,
    loss_profile,
    posterior,
    reconstruction,
)
from auditor.accounting.closed_forms import gaussian_tpr
from auditor.accounting.saddle import Event
from tests.accounting.specs import poisson_spec


def _grid(mu: float) -> GridProfile:
    return GridProfile(LossEngine([Event(pairs.gaussian(10 / mu), 100)]).upper_loss(1e-6, (0.0, 0.5, 1.0, 2.0)))


@pytest.mark.parametrize("mu", [0.05, 0.5, 1.0, 3.0, 8.0])
def test_gaussian_curve_from_the_grid(mu: float) -> None:
    profile = _grid(mu)
    for fpr in (1e-6, 1e-5, 1e-3, 0.01, 0.1, 0.5, 0.9):
        truth = gaussian_tpr(mu, fpr)
        assert truth * (1 - 1e-9) <= profile.tpr(fpr) <= truth * (1 + 1e-3)
    truth = float(2 * special.ndtr(mu / 2) - 1)
    assert truth - 1e-9 <= profile.advantage() <= truth + 1e-3


def test_single_subsampled_step_is_never_undercut() -> None:
    sigma, rate = 0.9, 0.05
    profile = loss_profile(poisson_spec((sigma, rate, 1), delta=1e-6))
    assert profile is not None
    for threshold in np.linspace(-1, 6, 50):
        fpr = float(special.ndtr(-threshold / sigma))
        tpr = (1 - rate) * fpr + rate * float(special.ndtr((1 - threshold) / sigma))
        assert profile.tpr(fpr) >= tpr * (1 - 1e-9)
        assert profile.tpr(fpr) <= tpr * (1 + 2e-3)


def test_figures_of_the_research_table() -> None:
    profile = loss_profile(poisson_spec((1.1, 0.032, 500), delta=1e-5))
    assert profile is not None
    assert profile.tpr(1e-3) == pytest.approx(0.0124, rel=5e-3)
    assert profile.advantage() == pytest.approx(0.304, abs=1e-3)
    assert reconstruction(profile, 1e-4) == pytest.approx(0.0021, rel=0.03)
    assert reconstruction(profile, 0.01) == pytest.approx(0.067, rel=0.01)


@pytest.mark.parametrize(
    ("sigma", "steps", "blind", "bound"),
    [(0.5, 1, 0.1, 0.7638), (1, 1, 0.1, 0.3891), (2, 1, 0.1, 0.2172), (4, 1, 0.1, 0.1511), (2, 10, 0.1, 0.6178),
     (1, 1, 0.01, 0.0924)],
)  # fmt: skip
def test_reconstruction_bounds_of_full_batches(sigma: float, steps: int, blind: float, bound: float) -> None:
    """The closed form of Kaissis et al., 2023, arXiv:2307.03928, to four digits."""
    assert reconstruction(GaussianProfile(steps**0.5 / sigma), blind) == pytest.approx(bound, abs=6e-5)


@pytest.mark.parametrize(
    ("parameters", "blind", "bound", "error"),
    [((1.0, 0.1, 1), 0.1, 0.12891, 1e-5), ((0.5, 0.01, 1), 0.01, 0.01362, 1e-5), ((0.6, 0.01, 100), 0.1, 0.184, 4e-3),
     ((1.0, 0.01, 1000), 0.1, 0.197, 4e-3), ((1.0, 0.1, 100), 0.1, 0.469, 4e-3),
     ((1.0, 0.01, 1000), 0.01, 0.029, 4e-3)],
)  # fmt: skip
def test_reconstruction_bounds_of_sampled_batches(
    parameters: tuple[float, float, int], blind: float, bound: float, error: float
) -> None:
    """One step by integration; many by Monte Carlo, with twice its standard error of 0.002 allowed."""
    profile = loss_profile(poisson_spec(parameters, delta=1e-5))
    assert profile is not None
    assert reconstruction(profile, blind) == pytest.approx(bound, abs=error)


def test_curve_is_concave_above_the_diagonal_and_fast() -> None:
    profile = loss_profile(poisson_spec((1.12, 0.0042666667, 14063), delta=1e-5))
    assert profile is not None
    began = time.process_time()
    values = [profile.tpr(fpr) for fpr in (1e-6, 1e-4, 1e-3, 1e-2, 0.1)]
    assert time.process_time() - began < 0.1
    assert all(value > fpr for value, fpr in zip(values, (1e-6, 1e-4, 1e-3, 1e-2, 0.1), strict=True))
    rates = np.array(FPRS)
    curve = np.array([profile.tpr(fpr) for fpr in FPRS])
    slopes = np.diff(curve) / np.diff(rates)
    assert (np.diff(slopes) <= 1e-6 * slopes[:-1] + 1e-9).all()


def test_caps_of_the_report() -> None:
    caps = attack_caps(GaussianProfile(1.0))
    rates = [point.fpr for point in caps.roc]
    assert rates == sorted(rates)
    assert {0.1, 0.01, 0.001} <= set(rates)
    assert all(point.tpr >= point.fpr for point in caps.roc)
    assert caps.posterior["0.5"] > caps.posterior["0.1"] > caps.posterior["0.01"]


def test_posterior_and_attribute_inference() -> None:
    blind = GaussianProfile(1e-9)
    assert posterior(blind, 0.3) == pytest.approx(0.3, abs=1e-6)
    assert attribute_inference(blind, 0.7) == pytest.approx(0.7, abs=1e-6)
    assert attribute_inference(GaussianProfile(2.0), 0.5) == pytest.approx(float(special.ndtr(1.0)))


def test_gdp_mu_of_a_gaussian_and_of_a_subsampled_one() -> None:
    assert gdp_mu(_grid(1.0)) == pytest.approx(1.0, rel=1e-3)
    strong = gdp_mu(GridProfile(LossEngine([Event(pairs.gaussian(0.01), 1)]).upper_loss(1e-6, (0.0, 1.0))))
    assert strong is None

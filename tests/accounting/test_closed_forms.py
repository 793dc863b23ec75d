import math

import mpmath
import numpy as np
import pytest

from auditor.accounting import closed_forms as forms


def _delta(mu: float, epsilon: float) -> mpmath.mpf:
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        return mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)


@pytest.mark.parametrize("mu", [1e-3, 0.1, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("delta", [1e-15, 1e-9, 1e-5, 1e-2])
def test_gaussian_epsilon_against_sixty_digits(mu: float, delta: float) -> None:
    epsilon = forms.gaussian_epsilon(mu, delta)
    if epsilon == 0:
        assert _delta(mu, 0.0) <= delta
    else:
        assert float(abs(mpmath.log(_delta(mu, epsilon)) - mpmath.log(delta))) < 1e-8


def test_tree_with_one_participation_is_the_published_figure() -> None:
    assert forms.gaussian_epsilon(forms.tree_mu(5.0, 100), 1e-6) == pytest.approx(2.399, abs=1e-3)


def test_tree_bound_covers_every_participation_pattern() -> None:
    steps, separation, most = 12, 3, 4
    levels = math.ceil(math.log2(steps + 1))
    bound = (forms.tree_mu(1.0, steps, participations=most, separation=separation)) ** 2
    for first in range(separation):
        for gap in range(separation, steps):
            taken = list(range(first, steps, gap))[:most]
            squared = sum(
                count**2 for level in range(levels) for count in np.bincount([step >> level for step in taken]).tolist()
            )
            assert squared <= bound + 1e-9


def test_matrix_sensitivity_of_a_prefix_sum_is_exact() -> None:
    strategy = np.tril(np.ones((8, 8)))
    assert forms.matrix_sensitivity(strategy) == pytest.approx(math.sqrt(8))
    worst = max(np.linalg.norm(strategy[:, [first, first + 4]].sum(axis=1)) for first in range(4))
    assert forms.matrix_sensitivity(strategy, participations=2, separation=4) == pytest.approx(worst)
    assert forms.matrix_sensitivity(strategy, participations=2) >= worst


def test_banded_sensitivity() -> None:
    strategy = np.eye(9) + np.eye(9, k=-1) * 0.5
    exact = np.linalg.norm(strategy[:, ::3].sum(axis=1))
    assert forms.banded_sensitivity(strategy, participations=3) >= exact - 1e-12


def test_adaptive_clip_takes_the_noise_back_that_the_count_needs() -> None:
    spent = (1.0**-2 - (2 * 5.0) ** -2) ** -0.5
    assert forms.adaptive_clip_noise(spent, 5.0) == pytest.approx(1.0)
    assert forms.adaptive_clip_noise(1.0, 5.0, centred=False) < forms.adaptive_clip_noise(1.0, 5.0)
    assert forms.adaptive_clip_noise(1.0, 0.0) == 0.0

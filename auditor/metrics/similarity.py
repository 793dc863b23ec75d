"""How like two records are, by modality: PSNR and SSIM, cells of a table, relative error, tokens.

Every function takes ``(k, *shape)`` guesses and ``(n, *shape)`` true records in natural units and returns ``(k, n)``.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import correlate1d

from auditor.observations.model import Column

Quality = Callable[[np.ndarray, np.ndarray], np.ndarray]

PSNR_CAP = 100.0
"""dB; single precision holds no more, and one exact picture must not make a mean infinite."""

_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def psnr(guesses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], at most :data:`PSNR_CAP`."""
    error = _mean_squares(guesses, truth)
    return np.asarray(np.minimum(-10.0 * np.log10(np.maximum(error, 1e-30)), PSNR_CAP))


def ssim(guesses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity of pictures ``(n, channels, height, width)`` in [0, 1], mean over channels and places.

    Wang et al., 2004, IEEE TIP 13(4): Gaussian window of 11 x 11 pixels with standard deviation 1.5, only where it
    lies inside the picture. Pictures of fewer than 11 pixels take the largest odd window that fits.
    """
    return np.array([[_ssim_pair(guess, true) for true in truth] for guess in guesses])


def ssim_window(shape: tuple[int, ...]) -> int:
    """Side of the SSIM window for a record of this shape, in pixels."""
    side = min(_SSIM_WINDOW, *shape[-2:])
    return side if side % 2 else side - 1


def _ssim_pair(guess: np.ndarray, true: np.ndarray) -> float:
    side = ssim_window(guess.shape)
    places = np.arange(side) - side // 2
    window = np.exp(-(places**2) / (2 * _SSIM_SIGMA**2))
    window /= window.sum()

    def smooth(values: np.ndarray) -> np.ndarray:
        inner = slice(side // 2, -(side // 2) or None)
        out = correlate1d(correlate1d(values, window, axis=-1), window, axis=-2)
        return np.asarray(out[..., inner, inner])

    mean_a, mean_b = smooth(guess), smooth(true)
    var_a, var_b = smooth(guess**2) - mean_a**2, smooth(true**2) - mean_b**2
    both = smooth(guess * true) - mean_a * mean_b
    top = (2 * mean_a * mean_b + _SSIM_C1) * (2 * both + _SSIM_C2)
    return float(np.mean(top / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (var_a + var_b + _SSIM_C2))))


def negative_relative_error(guesses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Minus ``|guess - true| / |true - its mean|`` in L2: 0 is exact, -1 is as bad as a flat line."""
    spread = truth - truth.reshape(len(truth), -1).mean(1).reshape(-1, *([1] * (truth.ndim - 1)))
    scale = np.linalg.norm(spread.reshape(len(truth), -1), axis=1)
    distance = np.sqrt(_mean_squares(guesses, truth) * truth[0].size)
    return np.asarray(-distance / np.maximum(scale, 1e-12)[None])


def token_accuracy(guesses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of the true tokens that stand at the same place; padding (id 0 at the end) does not count."""
    counts = np.flip(np.cumsum(np.flip(truth != 0, 1), axis=1), 1) > 0
    equal = guesses[:, None] == truth[None]
    return np.asarray((equal & counts[None]).sum(2) / np.maximum(counts.sum(1), 1)[None])


def cell_accuracy(columns: tuple[Column, ...], tolerances: np.ndarray) -> Quality:
    """Share of cells that are right: categorical exactly, continuous within the column's tolerance.

    Args:
        columns: Places of the columns in the encoded record.
        tolerances: Per column, in the unit of the encoded value.
    """

    def quality(guesses: np.ndarray, truth: np.ndarray) -> np.ndarray:
        right = np.zeros((len(guesses), len(truth)))
        for column, tolerance in zip(columns, tolerances, strict=True):
            a, b = guesses[:, column.start : column.stop], truth[:, column.start : column.stop]
            if column.kind == "categorical":
                right += a.argmax(1)[:, None] == b.argmax(1)[None]
            else:
                right += (np.abs(a[:, None] - b[None]) <= tolerance).all(2)
        return np.asarray(right / len(columns))

    return quality


def _mean_squares(guesses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean squared difference of each pair, computed row by row to keep memory small."""
    flat_a, flat_b = guesses.reshape(len(guesses), -1), truth.reshape(len(truth), -1)
    return np.array([((row[None] - flat_b) ** 2).mean(1) for row in flat_a]).reshape(len(flat_a), len(flat_b))

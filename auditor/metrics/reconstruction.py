"""How much of the records was reconstructed, beside what a guess without any attack achieves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from auditor.core.measurement import Measurement
from auditor.core.seeds import derive_seed
from auditor.metrics.clustered import mean_interval, records_in, share_interval
from auditor.metrics.matching import Matched, assign
from auditor.metrics.record_quality import Yardstick, yardstick
from auditor.metrics.similarity import ssim, ssim_window
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from auditor.observations.returned import Reconstruction

_LARGEST_POPULATION = 2000
_DRAWS = 20
_FALSE_ALARM = 0.01
_ROUNDING = 1e-4
_TAIL = 10
"""Nearest population records from which the tail is continued, at least."""


@dataclass(frozen=True)
class _Update:
    """One attacked update in natural units: guesses, true records, their assignment and thresholds."""

    guesses: np.ndarray
    truth: np.ndarray
    matched: Matched
    threshold: np.ndarray

    @property
    def recovered(self) -> np.ndarray:
        return (self.matched.rows >= 0) & (self.matched.quality > self.threshold)

    def shown(self, fallback: np.ndarray) -> np.ndarray:
        """The guess for each true record, the fallback where there is none."""
        none = self.matched.rows < 0
        picked = self.guesses[self.matched.rows] if len(self.guesses) else np.repeat(fallback[None], len(self.truth), 0)
        picked = picked.copy()
        picked[none] = fallback
        return picked


Values = Callable[[_Update], np.ndarray]


@dataclass(frozen=True)
class _Reference:
    """Population in natural units, cut in two: one half sets thresholds, the other plays the guess without attack.

    What an attack's own model of the population makes up without any update does both as well, where there is one.
    The mean record of each class is what somebody guesses who read nothing but the labels.
    """

    null: np.ndarray
    guesses: np.ndarray
    mean: np.ndarray
    made_up: np.ndarray | None = None
    class_means: Mapping[int, np.ndarray] = field(default_factory=dict)

    def with_made_up(self, rule: Yardstick, outputs: Sequence[Reconstruction]) -> "_Reference":
        """The same with the samples of the attack's own prior, cut in two like the population."""
        samples = [out.prior_samples for out in outputs if out.prior_samples is not None and len(out.prior_samples) > 1]
        if not samples:
            return self
        values = np.concatenate([rule.natural(each) for each in samples])[:_LARGEST_POPULATION]
        half = len(values) // 2
        return replace(self, null=np.concatenate([self.null, values[:half]]), made_up=values[half:])

    def sources(self) -> list[np.ndarray]:
        """What a guess without attack may be drawn from."""
        return [self.guesses] if self.made_up is None else [self.guesses, self.made_up]


def measure_reconstruction(
    outputs: Sequence[Reconstruction],
    truths: Sequence[Records],
    *,
    population: Records,
    model: SharedModel,
    seed: int,
) -> tuple[Measurement, ...]:
    """Compare reconstructions with the true records of the same updates.

    A record counts as recovered if the guess assigned to it is better than (1) the quality that a population record
    exceeds with probability 1 % over all guesses of that update, (2) the mean of the population's records of its
    class, because to read a label is not to rebuild a record, and (3) a fixed least quality of the modality.

    Args:
        outputs: One per attacked update; any number of rows.
        truths: The records behind each update.
        population: Records of the same kind that are not in any update; at least two.
        model: Says how inputs were made.
        seed: For the draws of the guess without attack.

    Raises:
        ValueError: if the lengths differ, or the population is too small to calibrate on.
    """
    if len(outputs) != len(truths) or not outputs:
        raise ValueError(f"{len(outputs)} reconstructions for {len(truths)} updates")
    if len(population) < 2:
        raise ValueError("at least two population records are needed to say what chance achieves")
    rule = yardstick(model, population.inputs)
    reference = _reference(rule, population, model, seed).with_made_up(rule, outputs)
    updates = [_update(rule, out, truth, reference) for out, truth in zip(outputs, truths, strict=True)]
    return (_recovered(rule, updates, reference, seed), *_qualities(rule, updates, reference, seed))


def _reference(rule: Yardstick, population: Records, model: SharedModel, seed: int) -> _Reference:
    rng = np.random.default_rng(derive_seed(seed, "reconstruction", "population"))
    order = rng.permutation(len(population))[:_LARGEST_POPULATION]
    values = rule.natural(population.inputs[order.tolist()])
    half = max(1, len(values) // 2)
    labels = population.labels[order.tolist()]
    classes = np.unique(labels.cpu().numpy()) if _have_means(rule, labels) else ()
    means = {int(k): _mean(rule, values[(labels == int(k)).cpu().numpy()]) for k in classes}
    return _Reference(values[:half], values[half:], _mean(rule, values), class_means=means)


def _have_means(rule: Yardstick, labels: Tensor) -> bool:
    return rule.metric != "token_accuracy" and labels.ndim == 1 and not labels.is_floating_point()


def _mean(rule: Yardstick, values: np.ndarray) -> np.ndarray:
    """The mean record, with the commonest category of each column; of texts, which have none, the first."""
    if rule.metric == "token_accuracy":
        return np.asarray(values[0])
    mean = values.mean(0)
    for column in rule.columns:
        if column.kind == "categorical":
            mean[column.start : column.stop] = np.eye(column.stop - column.start)[
                mean[column.start : column.stop].argmax()
            ]
    return np.asarray(mean)


def _update(rule: Yardstick, output: Reconstruction, truth: Records, reference: _Reference) -> _Update:
    guesses, true = rule.natural(output.inputs), rule.natural(truth.inputs)
    matched = assign(rule.quality, guesses, true, fallback=reference.mean)
    threshold = _threshold(rule, true, max(1, len(guesses)), reference.null)
    for i, label in enumerate(truth.labels.tolist() if reference.class_means else ()):
        if label in reference.class_means:
            guessed = rule.quality(reference.class_means[label][None], true[i : i + 1])[0, 0]
            threshold[i] = max(threshold[i], guessed + _ROUNDING * abs(guessed))
    return _Update(guesses, true, matched, threshold)


def _threshold(rule: Yardstick, true: np.ndarray, guesses: int, null: np.ndarray) -> np.ndarray:
    """Per record: what chance reaches with probability 1 % in ``guesses`` tries, and at least the fixed least.

    Where the population is too small to show so rare an event, its tail is continued: exponential in dB or in the
    logarithm of an error, which is how nearness to random points falls off (peaks over threshold, Pickands 1975).
    """
    rare = _FALSE_ALARM / guesses
    scores = np.sort(rule.spread(rule.quality(null, true)), axis=0)[::-1]
    if len(scores) * rare >= 1.0:
        chance = np.quantile(scores, 1.0 - rare, axis=0, method="higher")
    else:
        kept = max(1, min(max(_TAIL, len(scores) // 10), len(scores) - 1))
        start = scores[min(kept, len(scores) - 1)]
        excess = float((scores[:kept] - start).mean())
        chance = start + excess * np.log(kept / (len(scores) * rare))
    return np.asarray(np.maximum(rule.gathered(chance), np.nextafter(rule.least, -np.inf)))


def _recovered(rule: Yardstick, updates: list[_Update], reference: _Reference, seed: int) -> Measurement:
    hits = [update.recovered for update in updates]
    of_class = " and than the mean record of its class" if reference.class_means else ""
    blind = [
        np.mean(
            [np.concatenate([u.recovered for u in draw]).mean() for draw in _draws(rule, updates, reference, seed, of)]
        )
        for of in reference.sources()
    ]
    return Measurement(
        metric="recovered_share",
        value=float(np.concatenate(hits).mean()),
        unit="fraction",
        interval=share_interval(hits),
        n=sum(map(len, hits)),
        n_of=records_in(len(updates)),
        floor=float(max(blind)),
        floor_is="population records"
        + (" or the prior's own samples" if reference.made_up is not None else "")
        + " in place of the reconstructions, under the same rule",
        method=f"recovered: {rule.words}, and closer than a population record comes by chance (1 % per update, "
        f"{len(reference.null)} records){of_class}; outputs assigned one to one (Hungarian)",
    )


def _draws(
    rule: Yardstick, updates: list[_Update], reference: _Reference, seed: int, source: np.ndarray
) -> list[list[_Update]]:
    """The same updates, with as many random records of ``source`` as there are records in place of the guesses."""
    rng = np.random.default_rng(derive_seed(seed, "reconstruction", "floor"))
    draws = []
    for _ in range(_DRAWS):
        made = []
        for update in updates:
            size = min(len(update.truth), len(source))
            guesses = source[rng.choice(len(source), size=size, replace=False)]
            matched = assign(rule.quality, guesses, update.truth, fallback=reference.mean)
            made.append(_Update(guesses, update.truth, matched, update.threshold))
        draws.append(made)
    return draws


def _qualities(rule: Yardstick, updates: list[_Update], reference: _Reference, seed: int) -> tuple[Measurement, ...]:
    """The modality's own metrics, means over records."""
    draws = _draws(rule, updates, reference, seed, reference.guesses)
    sign = -1.0 if rule.metric == "relative_error" else 1.0

    def made(metric: str, unit: str, values: Values, low: float, high: float, how: str) -> Measurement:
        each = [values(update) for update in updates]
        floors = _floors(values, updates, draws, rule, reference)
        best = (min if sign < 0 else max)(floors.values())
        return Measurement(
            metric=metric, value=float(np.concatenate(each).mean()), unit=unit,
            interval=mean_interval(each, lowest=low, highest=high), n=sum(map(len, each)),
            n_of=records_in(len(updates)), floor=best,
            floor_is="best of: " + ", ".join(f"{name} {value:.3g}" for name, value in floors.items()),
            higher_is_worse=sign > 0, method=how,
        )  # fmt: skip

    low, high = sorted((sign * rule.lowest, sign * rule.highest))
    how = "mean over records, outputs assigned one to one (Hungarian)"
    result = [made(rule.metric, rule.unit, lambda u: sign * u.matched.quality, low, high, how)]
    if rule.metric == "psnr":
        side = ssim_window(updates[0].truth.shape)
        window = f"Gaussian window {side}x{side}, sigma 1.5"
        result.append(made("ssim", "1", lambda u: _ssim(u, reference.mean), -1.0, 1.0, f"{how}; {window}"))
    exact = {"cell_accuracy": "exact_row_share", "token_accuracy": "exact_text_share"}.get(rule.metric)
    if exact:
        result.append(made(exact, "fraction", lambda u: (u.matched.quality >= 1.0).astype(float), 0.0, 1.0, how))
    return tuple(result)


def _ssim(update: _Update, fallback: np.ndarray) -> np.ndarray:
    pairs = zip(update.shown(fallback), update.truth, strict=True)
    return np.array([ssim(guess[None], true[None])[0, 0] for guess, true in pairs])


def _floors(
    values: Values,
    updates: list[_Update],
    draws: list[list[_Update]],
    rule: Yardstick,
    reference: _Reference,
) -> dict[str, float]:
    """What guesses without attack achieve: the mean record, the nearest and random population records.

    Where the attack holds a model of the population, also the nearest of what that makes up without any update.
    """

    def mean(of: list[_Update]) -> float:
        return float(np.concatenate([values(update) for update in of]).mean())

    flat, near, imagined = [], [], []
    for update in updates:
        none = np.full(len(update.truth), -1)
        quality = rule.quality(reference.mean[None], update.truth)[0]
        flat.append(_Update(update.guesses[:0], update.truth, Matched(none, quality), update.threshold))
        table = rule.quality(reference.guesses, update.truth)
        rows = table.argmax(0)
        near.append(_Update(reference.guesses, update.truth, Matched(rows, table.max(0)), update.threshold))
        if reference.made_up is not None:
            table = rule.quality(reference.made_up, update.truth)
            best = Matched(table.argmax(0), table.max(0))
            imagined.append(_Update(reference.made_up, update.truth, best, update.threshold))
    floors = {
        "mean record": mean(flat),
        "nearest population record": mean(near),
        "random population records": float(np.mean([mean(draw) for draw in draws])),
    }
    return {**floors, "nearest sample of the prior": mean(imagined)} if imagined else floors

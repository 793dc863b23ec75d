"""How many records of each class stand behind an update, read off the gradient of the classifier head.

For cross-entropy the gradient of the head's bias is the mean over records of (predicted probability - label), so
``count_c = records * (mean prediction_c - gradient_c)``. The mean prediction is estimated on proxies; for a few
records it is read off the update itself. Zhao et al., 2020, arXiv:2001.02610 (sign rule); Yin et al., 2021,
arXiv:2104.07586; Ma et al., ICLR 2023 (iLRG).
"""

from dataclasses import dataclass

import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from auditor.attacks.base import Knowledge
from auditor.attacks.inversion.evidence import (
    Head,
    Update,
    find_head,
    fresh_module,
    mean_gradient,
    probe_inputs,
)
from auditor.core.errors import AttackFailed
from auditor.observations.model import State

_PROBES = 256
_SUM_WEIGHT = 10.0


@dataclass(frozen=True)
class Counts:
    """Class counts and how they were found.

    Attributes:
        counts: ``(classes,)`` int64, sums to the number of records.
        rule: Plain words for the notes.
    """

    counts: Tensor
    rule: str

    def labels(self) -> Tensor:
        """The multiset of labels, ascending. Shape ``(records,)``."""
        return torch.repeat_interleave(torch.arange(len(self.counts)), self.counts)


@dataclass(frozen=True)
class _Proxy:
    """Mean prediction ``(classes,)`` and mean sum of the head's inputs on stand-in records."""

    prediction: Tensor
    feature_sum: float
    source: str


def recover_counts(seen: Update, known: Knowledge, *, seed: int) -> Counts:
    """Class counts behind the update.

    Raises:
        AttackFailed: where the model has no linear head, or the head is not in the update.
    """
    if seen.labels is not None:
        return Counts(torch.bincount(seen.labels.cpu(), minlength=known.model.shape.classes), "labels were granted")
    head = find_head(known.model)
    if head is None or head.weight not in seen.update:
        raise AttackFailed("no linear classifier head was found in the update by a forward probe")
    if known.model.shape.classes < 2:
        raise AttackFailed("the head has one output; the rules are for a softmax over at least two classes")
    gradient = mean_gradient(seen)
    if seen.records == 1:
        return _one_record(gradient, head)
    proxy = _proxy(seen, known, head, seed=seed)
    signal = _bias_gradient(gradient, head, proxy)
    if 2 * seen.records <= len(signal) and head.bias is not None:
        return Counts(_few(seen, head, gradient, signal), "linear system with predictions read off the head (iLRG)")
    counts = whole_numbers((proxy.prediction.to(signal) - signal).clamp_min(0), seen.records)
    return Counts(counts, f"head's bias gradient against the mean prediction on {proxy.source}")


def _one_record(gradient: State, head: Head) -> Counts:
    """Sign rule: only the true class has a negative gradient; under noise the most negative one is taken.

    Without a bias the weight's gradient is (p - y) times the one common input. The true class's entry of p - y is as
    large as all others together, so it is the largest of the first left singular vector.
    """
    if head.bias is not None and head.bias in gradient:
        chosen = int(gradient[head.bias].argmin())
    else:
        chosen = int(torch.linalg.svd(gradient[head.weight], full_matrices=False).U[:, 0].abs().argmax())
    counts = torch.zeros(len(gradient[head.weight]), dtype=torch.int64)
    counts[chosen] = 1
    return Counts(counts, "sign rule for one record")


def _bias_gradient(gradient: State, head: Head, proxy: _Proxy) -> Tensor:
    """The mean of (prediction - label); from the weight's rows where the head has no bias."""
    if head.bias is not None and head.bias in gradient:
        return gradient[head.bias]
    if abs(proxy.feature_sum) < 1e-6:
        raise AttackFailed("the head has no bias and its inputs sum to zero, so class counts cannot be read off")
    return gradient[head.weight].sum(1) / proxy.feature_sum


def _proxy(seen: Update, known: Knowledge, head: Head, *, seed: int) -> _Proxy:
    """Proxies are population records where they are held; their predictions before and after are averaged."""
    if known.population is not None and len(known.population):
        inputs, source = known.population.inputs, "population records"
    else:
        generator = torch.Generator().manual_seed(seed)
        inputs, source = probe_inputs(known.model, _PROBES, generator=generator), "random inputs"
    states = [seen.before]
    if seen.kind == "difference":
        states.append({name: value + seen.update.get(name, 0) for name, value in seen.before.items()})
    pairs = [_predictions(known, head, state, inputs) for state in states]
    prediction = torch.stack([pair[0].mean(0) for pair in pairs]).mean(0)
    return _Proxy(prediction, float(torch.stack([pair[1] for pair in pairs]).mean()), source)


def _predictions(known: Knowledge, head: Head, state: State, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax outputs ``(n, classes)`` and the mean sum of the head's inputs."""
    module = fresh_module(known.model, state)
    sums: list[Tensor] = []

    def keep(_module: nn.Module, given: tuple[Tensor, ...], _output: Tensor) -> None:
        sums.append(given[0].flatten(1).sum(1))

    hook = module.get_submodule(head.module).register_forward_hook(keep)
    with torch.no_grad():
        outputs = torch.cat([module(chunk) for chunk in torch.split(inputs.cpu(), 512)])
    hook.remove()
    return torch.softmax(outputs.float(), dim=1), torch.cat(sums).mean()


def _few(seen: Update, head: Head, gradient: State, signal: Tensor) -> Tensor:
    """Non-negative class shares v with sum 1 that best explain ``signal_c = sum_k v_k (P_kc - [k = c])``.

    ``P_k`` is the prediction on the mean head input of class k, which the row ratio of weight to bias gradient gives
    where few records share a row.
    """
    assert head.bias is not None
    features = gradient[head.weight].double() / torch.where(signal == 0, 1e-12, signal).double()[:, None]
    logits = features @ seen.before[head.weight].double().T + seen.before[head.bias].double()
    matrix = torch.softmax(logits, dim=1).T.cpu() - torch.eye(len(signal), dtype=torch.float64)
    system = torch.cat([matrix, torch.full((1, len(signal)), _SUM_WEIGHT, dtype=torch.float64)])
    goal = torch.cat([signal.double().cpu(), torch.tensor([_SUM_WEIGHT], dtype=torch.float64)])
    return whole_numbers(torch.from_numpy(nnls(system.numpy(), goal.numpy())[0]), seen.records)


def whole_numbers(shares: Tensor, total: int) -> Tensor:
    """Counts that add up to ``total``, in proportion to ``shares`` (largest remainders)."""
    exact = (shares / shares.sum().clamp_min(1e-12)).double().cpu() * total
    counts = exact.floor().long()
    missing = total - int(counts.sum())
    order = torch.argsort(exact - counts, descending=True)
    counts[order[:missing]] += 1
    return counts

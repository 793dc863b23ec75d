"""Exact recovery of token sequences from the gradient of a causal transformer."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.evidence import Update, as_update, fresh_module, mean_gradient, probe_inputs, step_weight
from auditor.attacks.inversion.last_token import complete
from auditor.attacks.inversion.span import (
    InputProbe,
    Layer,
    Span,
    depends_on_later,
    first_that,
    reading_layers,
    span_of,
)
from auditor.core.errors import AttackDoesNotApply, AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_CHUNK = 4096
_FIXED, _TOKENS = 16, 400
"""What it takes, in gradients: a fixed part, and one for so many tokens of the vocabulary, each tried everywhere."""


class Dager:
    """Token by token search for sequences whose layer inputs lie in the span of the gradients.

    Petrov et al., 2024, arXiv:2405.15586, algorithms 1 and 2 for decoders. The first attention block says which
    tokens stand at which position; a later layer, which reads what earlier positions left, says which of them
    continue which prefix. Query, key and value gradients are stacked: the query's alone is blind to the first
    position. A layer whose gradient has full rank rules nothing out, and then the attack says that it does not apply.
    """

    name: ClassVar[str] = "inversion/dager"
    title: ClassVar[str] = "Exact recovery of texts from a transformer's gradient"
    paper: ClassVar[str] = "Petrov et al., 2024, arXiv:2405.15586, algorithms 1 and 2"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        modalities=frozenset({Modality.TEXT}),
        traits={"attention": "the model has no attention", "embedding": "the model embeds no tokens"},
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults: in single precision true inputs lie within 1e-3 of the span, others at 0.3 and more."""

        tolerance: Annotated[float, Field(gt=0, lt=1)] = Field(0.02, description="Distance to the span that counts.")
        breadth: Annotated[int, Field(ge=1)] = Field(4, description="Prefixes kept, in multiples of the records.")

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        return []

    def cost(self, shape: TargetShape) -> Cost:
        vocabulary = shape.classes if shape.task is Task.LANGUAGE_MODEL else 0
        return Cost(gradient_evaluations=_FIXED + vocabulary // _TOKENS)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """Sequences that the gradients do not rule out, the closest first; at most as many as records.

        Raises:
            AttackDoesNotApply: where the model is not causal, no layer is in the update, or a span is full.
            AttackFailed: where the vocabulary is not known or noise covers the gradient.
        """
        update = as_update(seen)
        if not known.model.preprocessing.vocabulary:
            raise AttackFailed("the size of the vocabulary is not known")
        module = fresh_module(known.model, update.before)
        tokens = probe_inputs(known.model, 2, generator=context.generator())
        layers = reading_layers(module, update.update, tokens)
        first = first_that(layers, module, tokens, mixes=False)
        later = first_that(layers[layers.index(first) + 1 :], module, tokens, mixes=True) if first else None
        if first is None or later is None:
            raise AttackDoesNotApply("the update holds no two layers that read tokens and their context")
        later = _next_block(layers, first, later)
        if depends_on_later(InputProbe(module, later), tokens):
            raise AttackDoesNotApply("the model is not causal; the search is for decoders")
        spans = _spans(update, (first, later))
        search = _Search(InputProbe(module, first), InputProbe(module, later), spans, self.params)
        vocabulary, positions = known.model.preprocessing.vocabulary, known.model.shape.input_shape[0]
        prefixes, distances = search.run(vocabulary, positions, update.records, context)
        prefixes = complete(prefixes, update, known, module) if prefixes.shape[1] == positions - 1 else prefixes
        inputs = torch.nn.functional.pad(prefixes, (0, positions - prefixes.shape[1]))[: update.records]
        return Reconstruction(
            inputs,
            labels=inputs,
            confidence=1 - distances[: update.records],
            iterations=positions,
            notes=(
                f"Ranks {spans[0].rank} of {spans[0].features} and {spans[1].rank} of {spans[1].features}; "
                f"{len(prefixes)} sequences are left for {update.records} records.",
            ),
        )


def _next_block(layers: list[Layer], first: Layer, later: Layer) -> Layer:
    """The next layer that stacks as many weights as the first (query, key, value), or the first that mixes."""
    for layer in layers[layers.index(later) :]:
        if (
            len(layer.weights) == len(first.weights)
            and layer.transposed == first.transposed
            and (layer.module.rpartition(".")[2] == first.module.rpartition(".")[2])
        ):
            return layer
    return later


def _spans(update: Update, layers: tuple[Layer, Layer]) -> tuple[Span, Span]:
    gradient = mean_gradient(update)
    noise = update.privatisation.noise_std / (1.0 if update.kind == "gradient" else step_weight(update.local))
    found = []
    for layer in layers:
        span = span_of(gradient, layer, noise=noise)
        if span.rank >= span.features - 1:  # normalised inputs have no mean, so one direction is always missing
            raise AttackDoesNotApply(
                f"the gradient of layer {layer.module} has full rank ({span.rank} of {span.features}): too many tokens "
                "stand behind the update, or noise, so that no token can be ruled out"
            )
        if span.rank == 0:
            raise AttackFailed(f"the gradient of layer {layer.module} is below the noise")
        found.append(span)
    return found[0], found[1]


class _Search:
    """Prefixes that agree with both spans, extended position by position."""

    def __init__(self, first: InputProbe, later: InputProbe, spans: tuple[Span, Span], params: "Dager.Params") -> None:
        self._first, self._later, self._spans, self._params = first, later, spans, params

    def run(self, vocabulary: int, positions: int, records: int, context: RunContext) -> tuple[Tensor, Tensor]:
        """Sequences ``(k, positions found)`` and the mean distance of each."""
        prefixes, total = torch.empty(1, 0, dtype=torch.int64), torch.zeros(1)
        allowed = self._allowed(vocabulary, positions)
        for position in range(positions):
            tokens = allowed[position]
            if context.out_of_time:
                context.shortened.append(f"{position} of {positions} positions were searched before the deadline")
            if not len(tokens) or context.out_of_time:
                break
            extended, distances = self._extended(prefixes, total, tokens)
            if not len(extended):
                break
            order = torch.argsort(distances)[: self._params.breadth * records]
            prefixes, total = extended[order], distances[order]
            context.progress((position + 1) / positions)
        found = prefixes.shape[1]
        if not found:
            return torch.empty(0, 0, dtype=torch.int64), torch.empty(0)
        return prefixes, total / found

    def _allowed(self, vocabulary: int, positions: int) -> list[Tensor]:
        """Tokens whose first-layer input lies in the span, for each position."""
        hits: list[list[Tensor]] = [[] for _ in range(positions)]
        for chunk in torch.split(torch.arange(vocabulary), _CHUNK):
            distance = self._spans[0].distance(self._first(chunk[:, None].expand(-1, positions)))
            for position in range(positions):
                hits[position].append(chunk[distance[:, position] < self._params.tolerance])
        return [torch.cat(parts) for parts in hits]

    def _extended(self, prefixes: Tensor, total: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Prefixes with one more token that the later layer does not rule out, and their summed distances."""
        rows = torch.arange(len(prefixes)).repeat_interleave(len(tokens))
        tried = torch.cat([prefixes[rows], tokens.repeat(len(prefixes))[:, None]], 1)
        parts = [self._spans[1].distance(self._later(part)[:, -1]) for part in torch.split(tried, _CHUNK // 4)]
        distance = torch.cat(parts)
        kept = distance < self._params.tolerance
        return tried[kept], (total[rows] + distance)[kept]

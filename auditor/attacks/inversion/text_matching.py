"""Reconstruction of texts by making token distributions whose gradient matches the observed one."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from auditor.attacks.base import AttackParams, Cost, Knowledge, Needs, RunContext
from auditor.attacks.inversion.distance import Distance
from auditor.attacks.inversion.evidence import Update, as_update
from auditor.attacks.inversion.label_counts import recover_counts
from auditor.attacks.inversion.replay import Replay
from auditor.attacks.inversion.soft_tokens import embedding_path, soft_model
from auditor.attacks.inversion.token_moves import Moves, improved, most_moves
from auditor.attacks.inversion.token_set import likely_tokens
from auditor.core.errors import AttackFailed
from auditor.core.grants import Grant
from auditor.core.shape import Modality, TargetShape, Task
from auditor.learning.functional import FunctionalModel
from auditor.observations.released import Aggregate, ClientUpdate, Observation
from auditor.observations.returned import Reconstruction

_SOFT = 5
"""A step on distributions over tokens, in gradients of a batch of tokens: the second derivative, and dense tables."""

_EXACT = 1e-6
"""Matching distance that rounding alone explains; nothing is left to search then."""


@dataclass(frozen=True)
class _Guess:
    """Token ids ``(records, tokens)``, their matching distance, and gradient steps taken for them."""

    tokens: Tensor
    distance: float
    steps: int


class TextMatching:
    """Descent on token distributions, then swaps and replacements of tokens, restarted until the gradient fits.

    Deng et al., 2021, arXiv:2103.06819 (TAG: L2 + L1 distance) and Balunovic et al., 2022, arXiv:2202.08827 (LAMP:
    cosine distance, alternation with discrete moves). Three differences: what moves is a distribution over tokens,
    not a free embedding, so that inputs and targets of a language model stay one text and the table's gradient is
    matched too; the vocabulary is narrowed to the tokens whose rows of the table or of the head have a gradient; and
    moves are judged by the matching distance alone, as no language model is at hand (LAMP adds its perplexity).
    """

    name: ClassVar[str] = "inversion/text-matching"
    title: ClassVar[str] = "Reconstruction of texts by gradient matching"
    paper: ClassVar[str] = "Deng et al., 2021, arXiv:2103.06819; Balunovic et al., 2022, arXiv:2202.08827, algorithm 1"
    needs: ClassVar[Needs] = Needs(
        frozenset(),
        one_of=frozenset({Grant.CLIENT_UPDATE, Grant.AGGREGATE_UPDATE}),
        modalities=frozenset({Modality.TEXT}),
        tasks=frozenset({Task.LANGUAGE_MODEL, Task.CLASSIFICATION}),
        traits={"embedding": "the model embeds no tokens"},
    )
    revision: ClassVar[int] = 2
    observes: ClassVar[tuple[type, ...]] = (ClientUpdate, Aggregate)
    attack_class: ClassVar[str] = "reconstruction"

    class Params(AttackParams):
        """Defaults for seconds on a CPU with small models."""

        iterations: Annotated[int, Field(ge=1)] = Field(150, description="Optimiser steps of a start.")
        restarts: Annotated[int, Field(ge=1)] = Field(6, description="Starts at most; an exact fit ends the search.")
        learning_rate: Annotated[float, Field(gt=0)] = Field(0.3, description="Step size on the logits of tokens.")
        objective: Literal["cosine", "l2", "tag"] = Field("cosine", description="'tag' is L2 plus a share of L1.")
        l1_share: Annotated[float, Field(ge=0)] = Field(0.01, description="Weight of L1 in 'tag'.")
        sweeps: Annotated[int, Field(ge=0)] = Field(4, description="Rounds over all swaps and replacements of tokens.")
        unrolled_steps: Annotated[int, Field(ge=1)] = Field(8, description="More local steps than this are not tried.")
        tokens: Annotated[int, Field(ge=1)] = Field(
            512, description="More tokens behind an update (records x length) are not tried."
        )

    def __init__(self, params: AttackParams) -> None:
        self.params = self.Params.model_validate(params.model_dump())

    def unmet(self, shape: TargetShape) -> list[str]:
        tokens = shape.records_per_update * (shape.input_shape[0] if shape.input_shape else 1)
        if shape.modality is Modality.TEXT and tokens > self.params.tokens:
            return [
                f"tries at most {self.params.tokens} tokens behind an update (parameter 'tokens'); here are {tokens}"
            ]
        if shape.local_steps > self.params.unrolled_steps:
            return [
                f"follows at most {self.params.unrolled_steps} local steps (parameter 'unrolled_steps'); "
                f"here are {shape.local_steps}"
            ]
        return []

    def cost(self, shape: TargetShape) -> Cost:
        tokens = shape.records_per_update * (shape.input_shape[0] if shape.input_shape else 1)
        sweep = most_moves(tokens) if self.params.sweeps else 0
        descent, steps = _SOFT * self.params.iterations, max(1, shape.local_steps)
        each = descent + self.params.sweeps * sweep
        return Cost(gradient_evaluations=self.params.restarts * each * steps, least=(descent + sweep) * steps)

    def run(self, seen: Observation, known: Knowledge, context: RunContext) -> Reconstruction:
        """As many texts as stand behind ``seen``: those of the start that fits best.

        Raises:
            AttackFailed: where token ids cannot be relaxed, or labels of a classifier cannot be recovered.
        """
        update = as_update(seen)
        if not known.model.preprocessing.vocabulary:
            raise AttackFailed("the size of the vocabulary is not known")
        soft = soft_model(known.model)
        allowed = likely_tokens(update, known.model, table=f"{embedding_path(known.model)}.weight")
        labels = None if known.model.task is Task.LANGUAGE_MODEL else _classes(update, known, context)
        game = _Game(self.params, update, FunctionalModel(soft, device=context.device), allowed, labels, context)
        best, starts = game.start(), 1
        while best.distance > _EXACT and starts < self.params.restarts and not context.out_of_time:
            context.progress(starts / self.params.restarts)
            best, starts = min(best, game.start(), key=lambda guess: guess.distance), starts + 1
        return Reconstruction(
            best.tokens.cpu(),
            labels=best.tokens.cpu() if labels is None else labels.cpu(),
            confidence=torch.full((update.records,), 1 - best.distance),
            objective=best.distance,
            iterations=best.steps,
            notes=(
                f"{len(allowed)} of {known.model.preprocessing.vocabulary} tokens came into question; matching "
                f"distance {best.distance:.3g} after {starts} of at most {self.params.restarts} starts.",
            ),
        )


def _classes(update: Update, known: Knowledge, context: RunContext) -> Tensor:
    return update.labels if update.labels is not None else recover_counts(update, known, seed=context.seed).labels()


class _Game:
    """One update, and what a guess at its texts costs."""

    def __init__(
        self,
        params: "TextMatching.Params",
        update: Update,
        model: FunctionalModel,
        allowed: Tensor,
        labels: Tensor | None,
        context: RunContext,
    ) -> None:
        device = context.device
        names = tuple(name for name in model.parameter_names if name in update.update)
        moved = replace(update, before={name: value.detach().to(device) for name, value in update.before.items()})
        kind = "cosine" if params.objective == "cosine" else "l2"
        self._params, self._context, self._labels = params, context, labels
        unroll = update.kind == "difference" and 1 < update.local.steps <= params.unrolled_steps
        self._replay = Replay(model, moved, names, unroll, context.batched is not False)
        self._distance = Distance.to(update, kind=kind, device=device)
        self._allowed, self._shape = allowed.to(device), (update.records, *model.shared.shape.input_shape)
        self._vocabulary, self._generator = model.shared.preprocessing.vocabulary, context.generator()
        if self._replay.batched and not self._can_batch():
            self._replay = replace(self._replay, batched=False)

    def start(self) -> _Guess:
        """One descent from noise and the discrete moves after it."""
        logits = torch.randn((1, *self._shape, len(self._allowed)), generator=self._generator).to(self._allowed.device)
        logits.requires_grad_()
        optimiser = torch.optim.Adam([logits], lr=self._params.learning_rate)
        done = 0
        while done < self._params.iterations and not self._context.out_of_time:
            optimiser.zero_grad()
            (logits.grad,) = torch.autograd.grad(self._objective(self._spread(logits.softmax(-1))).sum(), logits)
            optimiser.step()
            done += 1
        if done < self._params.iterations:
            self._context.shortened.append(f"{done} of {self._params.iterations} steps of a start fit the deadline")
        tokens = self._allowed[logits.detach()[0].argmax(-1)]
        moves = Moves(self._allowed, self.distances, self._params.sweeps, _EXACT, self._context)
        tokens, distance = improved(tokens, moves)
        return _Guess(tokens, distance, done)

    def distances(self, tokens: Tensor) -> Tensor:
        """Matching distance of each guess ``(guesses, records, tokens)``."""
        with torch.no_grad():
            return self._objective(one_hot(tokens, self._vocabulary).float())

    def _can_batch(self) -> bool:
        """False for a model that ``vmap`` cannot handle."""
        try:
            self.distances(torch.zeros((2, *self._shape), dtype=torch.int64, device=self._allowed.device))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            return False
        return True

    def _objective(self, probabilities: Tensor) -> Tensor:
        labels = probabilities
        if self._labels is not None:
            labels = self._labels.to(probabilities.device).expand(len(probabilities), -1)
        made = self._replay.whole_updates(probabilities, labels)
        apart = self._distance(made)
        if self._params.objective == "tag":
            goal = self._distance.goal
            off = torch.stack([(made[n].flatten(1) - goal[n].flatten()).abs().sum(1) for n in goal]).sum(0)
            apart = apart + self._params.l1_share * off / sum(value.abs().sum() for value in goal.values())
        return torch.nan_to_num(apart, nan=torch.inf)

    def _spread(self, chances: Tensor) -> Tensor:
        """Probabilities of the allowed tokens, written over the whole vocabulary."""
        whole = chances.new_zeros((*chances.shape[:-1], self._vocabulary))
        return whole.index_copy(-1, self._allowed, chances)

"""A text model that reads distributions over tokens instead of tokens, so that a gradient can move them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auditor.attacks.inversion.evidence import fresh_module, probe_inputs
from auditor.core.errors import AttackFailed
from auditor.core.shape import Task
from auditor.observations.model import SharedModel

_AGREE = 1e-3


def soft_model(model: SharedModel) -> SharedModel:
    """``model`` with inputs ``(n, tokens, vocabulary)`` of probabilities; one-hot rows give the same as token ids.

    The embedding is then a product of probabilities and table, so the table's gradient is matched too. Parameters
    keep their names. For language models the labels are such probabilities as well.

    Raises:
        AttackFailed: where the model or its loss does more with token ids than embed and predict them.
    """
    path = embedding_path(model)

    def build() -> nn.Module:
        module = model.build()
        module.register_forward_pre_hook(_hand_over(path))
        module.get_submodule(path).register_forward_hook(_mixed)
        return module

    language = model.task is Task.LANGUAGE_MODEL
    soft = replace(model, build=build, loss=soft_language_model if language else model.loss)
    _check(model, soft)
    return soft


def embedding_path(model: SharedModel) -> str:
    """Path of the embedding that reads the token ids.

    Raises:
        AttackFailed: where there is none.
    """
    module = fresh_module(model)
    read: dict[str, Tensor] = {}
    for path, part in module.named_modules():
        if isinstance(part, nn.Embedding) and part.num_embeddings == model.preprocessing.vocabulary:
            part.register_forward_pre_hook(lambda _m, given, path=path: read.update({path: given[0]}))
    tokens = probe_inputs(model, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        module(tokens)
    found = [path for path, given in read.items() if given.shape == tokens.shape and given.equal(tokens)]
    if not found:
        raise AttackFailed("the model has no embedding that reads the token ids themselves")
    return found[0]


def soft_language_model(outputs: Tensor, labels: Tensor) -> Tensor:
    """:func:`auditor.learning.losses.language_model` with probabilities ``(n, tokens, vocabulary)`` as labels."""
    targets = labels[:, 1:]
    nats = -(targets * F.log_softmax(outputs[:, :-1], -1)).sum(-1)
    counts = (targets.argmax(-1) != 0).to(nats.dtype).flip(1).cumsum(1).flip(1) > 0
    weight = counts.to(nats.dtype)
    return (nats * weight).sum(1) / weight.sum(1).clamp_min(1.0)


def _hand_over(path: str) -> Callable[..., Any]:
    def before(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The embedding gets the probabilities, the rest of the model the likeliest ids (shapes, masks)."""
        part: Any = module.get_submodule(path)
        part.given = given[0]
        return (given[0].argmax(-1), *given[1:])

    return before


def _mixed(part: Any, _given: Any, _output: Tensor) -> Tensor:
    weight, probabilities = part.weight, part.given
    part.given = None
    if part.padding_idx is not None:  # that row has no gradient
        padding = F.one_hot(torch.tensor(part.padding_idx), len(weight)).to(weight)[:, None]
        weight = weight * (1 - padding) + weight.detach() * padding
    mixed: Tensor = probabilities.to(weight.dtype) @ weight
    return mixed


def _check(model: SharedModel, soft: SharedModel) -> None:
    tokens = probe_inputs(model, 2, generator=torch.Generator().manual_seed(1))
    hard = F.one_hot(tokens, model.preprocessing.vocabulary).float()
    with torch.no_grad():
        outputs, mixed = fresh_module(model)(tokens), fresh_module(soft)(hard)
        same = torch.allclose(outputs, mixed, atol=_AGREE, rtol=_AGREE)
        if same and model.task is Task.LANGUAGE_MODEL:
            same = torch.allclose(model.loss(outputs, tokens), soft.loss(outputs, hard), atol=_AGREE, rtol=_AGREE)
    if not same:
        raise AttackFailed("the model does more with token ids than embed and predict them, so texts cannot be relaxed")

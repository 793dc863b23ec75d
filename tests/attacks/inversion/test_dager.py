"""Exact recovery of texts from a decoder's gradient."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.dager import Dager
from auditor.core.errors import AttackFailed
from auditor.observations.model import Privatisation
from auditor.observations.records import Records
from tests.attacks.inversion import cases

MODEL = cases.decoder_model(500, 64, 2, tokens=8)


def texts(n: int, *, tokens: int = 8, vocabulary: int = 500, seed: int = 0) -> Records:
    ids = torch.randint(1, vocabulary, (n, tokens), generator=torch.Generator().manual_seed(seed))
    return Records(ids, ids)


def attacked(update, model=MODEL):
    return Dager(Dager.Params()).run(update, cases.known(model), RunContext(seed=2))


def rows(values: Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in values.tolist()}


def test_every_text_of_a_batch_is_recovered_and_no_other() -> None:
    records = texts(4)
    assert rows(attacked(cases.gradient_update(MODEL, records)).inputs) == rows(records.inputs)


def test_texts_that_share_their_start_are_told_apart() -> None:
    records = texts(3)
    records.inputs[1, :4] = records.inputs[0, :4]
    assert rows(attacked(cases.gradient_update(MODEL, records)).inputs) == rows(records.inputs)


def test_too_many_tokens_are_said_to_rule_nothing_out() -> None:
    with pytest.raises(AttackFailed, match="full rank"):
        attacked(cases.gradient_update(MODEL, texts(12)))


def test_noise_is_said_to_rule_nothing_out() -> None:
    update = cases.gradient_update(MODEL, texts(2))
    generator = torch.Generator().manual_seed(0)
    noisy = {name: value + torch.randn(value.shape, generator=generator) for name, value in update.update.items()}
    with pytest.raises(AttackFailed, match="noise"):
        attacked(replace(update, update=noisy, privatisation=Privatisation(noise_std=1.0)))


def test_a_frozen_attention_is_said_to_be_missing() -> None:
    update = cases.gradient_update(MODEL, texts(2))
    head = {name: value for name, value in update.update.items() if name.startswith("head")}
    with pytest.raises(AttackFailed, match="no two layers"):
        attacked(replace(update, update=head))

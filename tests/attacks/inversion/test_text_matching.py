"""Texts by gradient matching: the relaxation, the narrowed vocabulary, the moves, and the whole attack."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from auditor.attacks.base import RunContext
from auditor.attacks.inversion.evidence import fresh_module
from auditor.attacks.inversion.soft_tokens import embedding_path, soft_model
from auditor.attacks.inversion.text_matching import TextMatching
from auditor.attacks.inversion.token_moves import Moves, improved
from auditor.attacks.inversion.token_set import likely_tokens
from auditor.core.errors import AttackFailed
from auditor.core.shape import Modality
from auditor.observations.model import Preprocessing, Privatisation, SharedModel
from auditor.observations.records import Records
from tests.attacks.inversion import cases

VOCABULARY, LENGTH = 60, 5
MODEL = cases.decoder_model(VOCABULARY, 32, 1, tokens=LENGTH)
CONTEXT = RunContext(seed=2)
QUICK = TextMatching.Params(iterations=40, restarts=3)


def texts(n: int, *, seed: int = 0) -> Records:
    ids = torch.randint(1, VOCABULARY, (n, LENGTH), generator=torch.Generator().manual_seed(seed))
    return Records(ids, ids)


def rows(values: Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in values.tolist()}


def attacked(update, model: SharedModel = MODEL, params: TextMatching.Params = QUICK):
    return TextMatching(params).run(update, cases.known(model), CONTEXT)


class Classifier(nn.Module):
    """Mean of embeddings with positions, then two layers; unpacks the shape of its ids."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 24)
        self.positions = nn.Parameter(torch.randn(LENGTH, 24))
        self.up, self.head = nn.Linear(24, 32), nn.Linear(32, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        _, length = tokens.shape
        hidden = (self.table(tokens) * self.positions[:length]).tanh()
        return self.head(self.up(hidden.mean(1)).relu())


def classifier() -> SharedModel:
    return cases.shared_model(
        Classifier, input_shape=(LENGTH,), classes=3, modality=Modality.TEXT,
        preprocessing=Preprocessing(vocabulary=VOCABULARY), traits=frozenset({"embedding", "classifier_bias"}),
    )  # fmt: skip


@pytest.mark.parametrize("model", [MODEL, classifier()])
def test_one_hot_rows_give_what_ids_give(model: SharedModel) -> None:
    ids = texts(3).inputs
    soft = nn.functional.one_hot(ids, VOCABULARY).float()
    assert torch.allclose(fresh_module(model)(ids), fresh_module(soft_model(model))(soft), atol=1e-6)


def test_another_loss_than_next_token_prediction_is_named() -> None:
    def reversed_loss(outputs: Tensor, labels: Tensor) -> Tensor:
        return MODEL.loss(outputs, labels.flip(1))

    with pytest.raises(AttackFailed, match="does more with token ids"):
        soft_model(replace(MODEL, loss=reversed_loss))


def test_a_model_without_an_embedding_of_ids_is_named() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.EmbeddingBag(VOCABULARY, 8), nn.Linear(8, 3))

    with pytest.raises(AttackFailed, match="no embedding"):
        soft_model(replace(classifier(), build=build))


def test_the_vocabulary_is_narrowed_to_what_was_read_and_predicted() -> None:
    records = texts(2)
    found = likely_tokens(cases.gradient_update(MODEL, records), MODEL, table=f"{embedding_path(MODEL)}.weight")
    assert set(found.tolist()) == {0, *records.inputs.flatten().tolist()}


def test_an_update_without_the_table_narrows_nothing() -> None:
    update = cases.gradient_update(MODEL, texts(1))
    kept = {name: value for name, value in update.update.items() if name != "tokens.weight"}
    assert len(likely_tokens(replace(update, update=kept), MODEL, table="tokens.weight")) == VOCABULARY


def test_moves_find_a_permutation_and_stop_there() -> None:
    goal = torch.tensor([[4, 1, 3], [2, 9, 7]])

    def distances(tried: Tensor) -> Tensor:
        return (tried != goal).flatten(1).float().mean(1)

    begin = torch.tensor([[9, 2, 3], [4, 1, 5]])
    found, distance = improved(begin, Moves(goal.flatten().unique(), distances, 4, 1e-6, CONTEXT))
    assert found.equal(goal)
    assert distance == 0


@pytest.mark.parametrize("size", [1, 2])
def test_texts_are_exact_and_come_with_their_labels(size: int) -> None:
    records = texts(size)
    found = attacked(cases.gradient_update(MODEL, records))
    assert rows(found.inputs) == rows(records.inputs)
    assert found.labels is not None
    assert found.labels.equal(found.inputs)


@pytest.mark.parametrize("objective", ["l2", "tag"])
def test_other_distances_find_it_too(objective: str) -> None:
    records = texts(1, seed=4)
    params = QUICK.model_copy(update={"objective": objective})
    assert rows(attacked(cases.gradient_update(MODEL, records), params=params).inputs) == rows(records.inputs)


def test_texts_of_a_classifier_are_found() -> None:
    model, records = classifier(), Records(texts(1, seed=3).inputs, torch.tensor([2]))
    found = attacked(cases.gradient_update(model, records), model)
    assert found.labels is not None
    assert found.labels.tolist() == [2]
    assert rows(found.inputs) == rows(records.inputs)


def test_two_local_steps_are_followed() -> None:
    records = texts(2, seed=1)
    local = cases.recipe(algorithm="fedavg", batch_size=1, steps=2, learning_rate=0.1)
    found = attacked(cases.fedavg_update(MODEL, records, local))
    assert rows(found.inputs) == rows(records.inputs)


def test_under_much_noise_texts_are_not_found() -> None:
    records = texts(2)
    update = cases.gradient_update(MODEL, records)
    generator = torch.Generator().manual_seed(0)
    noisy = {name: value + 30 * torch.randn(value.shape, generator=generator) for name, value in update.update.items()}
    found = attacked(
        replace(update, update=noisy, privatisation=Privatisation(noise_std=30.0)),
        params=QUICK.model_copy(update={"restarts": 1}),
    )
    assert not rows(found.inputs) & rows(records.inputs)
    assert found.objective is not None
    assert found.objective > 0.5


def test_too_many_tokens_and_steps_are_said_beforehand() -> None:
    attack = TextMatching(TextMatching.Params(tokens=8))
    assert attack.unmet(MODEL.shape) == []
    large = MODEL.shape.model_copy(update={"records_per_update": 2})
    assert "at most 8 tokens" in attack.unmet(large)[0]
    assert "local steps" in attack.unmet(MODEL.shape.model_copy(update={"local_steps": 40}))[0]


def test_a_deadline_ends_the_search() -> None:
    context = RunContext(seed=2, deadline=0.0)
    found = TextMatching(QUICK).run(cases.gradient_update(MODEL, texts(1)), cases.known(MODEL), context)
    assert found.inputs.shape == (1, LENGTH)
    assert context.shortened

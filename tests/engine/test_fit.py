"""Reference models that do not behave like the audited model are told, and others are not."""

import torch
from torch import Tensor

from auditor.attacks.base import ReferenceModels
from auditor.engine.fit import misfit

MEMBER = torch.arange(200) < 100


def references(models: int = 16, *, inside: float = 0.3, outside: float = 0.6) -> ReferenceModels:
    generator = torch.Generator().manual_seed(0)
    included = torch.rand(models, 200, generator=generator) < 0.5
    losses = drawn(included, inside=inside, outside=outside, generator=generator)
    nothing = torch.empty(models, 0)
    return ReferenceModels(torch.empty(models, 200, 0), losses, included, nothing, nothing, nothing.bool())


def drawn(included: Tensor, *, inside: float, outside: float, generator: torch.Generator) -> Tensor:
    scale = torch.where(included, inside, outside)
    return scale * -torch.rand(included.shape, generator=generator).clamp_min(1e-6).log()


def audited(*, inside: float, outside: float, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return drawn(MEMBER, inside=inside, outside=outside, generator=generator)


def test_models_of_the_same_recipe_fit() -> None:
    wrong = [seed for seed in range(100) if misfit(audited(inside=0.3, outside=0.6, seed=seed), MEMBER, references())]
    assert not wrong


def test_a_model_that_knows_its_records_by_heart_is_told() -> None:
    told = misfit(audited(inside=0.002, outside=1.5), MEMBER, references())
    assert "on records that trained it" in told
    assert "on other records" in told
    assert "trained otherwise" in told


def test_a_small_difference_is_no_misfit_however_alike_the_references_are() -> None:
    same = references(models=2)
    alike = ReferenceModels(
        same.outputs,
        torch.full((2, 200), 0.3),
        same.included,
        same.population_outputs,
        same.population_losses,
        same.population_included,
    )
    assert misfit(torch.full((200,), 0.5), MEMBER, alike) == ""

"""What an update says to every inversion attack: a mean gradient, and the classifier head behind it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auditor.core.errors import AttackFailed
from auditor.observations.model import LocalTraining, SharedModel, State
from auditor.observations.released import Aggregate, ClientUpdate, Observation

Update = ClientUpdate | Aggregate


def as_update(seen: Observation) -> Update:
    """The observation as an update with finite values.

    Raises:
        AttackFailed: where it is no update, or holds values that are not finite, or only zeros.
    """
    if not isinstance(seen, ClientUpdate | Aggregate):
        raise AttackFailed(f"an update is needed; a {type(seen).__name__} was observed")
    if not all(bool(torch.isfinite(value).all()) for value in seen.update.values()):
        raise AttackFailed("the update holds values that are not finite, so nothing can be matched to it")
    if not any(bool((value != 0).any()) for value in seen.update.values()):
        raise AttackFailed("the update is zero everywhere, so it carries nothing about the records")
    return seen


def clients(seen: Update) -> int:
    """How many clients stand behind the update."""
    return seen.clients if isinstance(seen, Aggregate) else 1


def step_weight(local: LocalTraining) -> float:
    """How much of one constant gradient the recipe adds up to: ``difference = -weight * gradient``.

    Heavy-ball momentum ``m`` gives step ``t`` of ``T`` the weight ``(1 - m**(T - t)) / (1 - m)``.
    """
    steps, momentum = max(local.steps, 1), local.momentum
    if momentum == 0:
        return local.learning_rate * steps
    total = sum((1 - momentum ** (steps - step)) / (1 - momentum) for step in range(steps))
    return local.learning_rate * total


def mean_gradient(seen: Update) -> dict[str, Tensor]:
    """The gradient that the update amounts to, averaged over records and local steps."""
    if seen.kind == "gradient":
        return dict(seen.update)
    weight = step_weight(seen.local)
    return {name: -value / weight for name, value in seen.update.items()}


@dataclass(frozen=True)
class Head:
    """The last linear layer, whose outputs are the logits.

    Attributes:
        weight, bias: Parameter names; ``bias`` is None where the layer has none.
        module: Its path in the model.
    """

    weight: str
    bias: str | None
    module: str


def fresh_module(model: SharedModel, state: State | None = None, *, seed: int = 0) -> nn.Module:
    """A module of its own, in evaluation mode, with ``state`` loaded; the global generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = model.build()
    if state is not None:
        module.load_state_dict({name: value.detach().cpu() for name, value in state.items()}, strict=False)
    return module.eval()


def probe_inputs(model: SharedModel, n: int, *, generator: torch.Generator) -> Tensor:
    """Inputs that only have the right shape: uniform in the valid box, or token ids."""
    shape = (n, *model.shape.input_shape)
    vocabulary = model.preprocessing.vocabulary
    if vocabulary:
        return torch.randint(vocabulary, shape, generator=generator)
    low, high = box(model)
    noise = torch.rand(shape, generator=generator)
    if low is None or high is None:
        return torch.randn(shape, generator=generator)
    return low + noise * (high - low)


def box(model: SharedModel) -> tuple[Tensor | None, Tensor | None]:
    """Lowest and highest valid model input, each broadcastable to one record, or None where unknown.

    Stated by the preprocessing, or, for normalised pictures, where 0 and 1 come to lie.
    """
    known = model.preprocessing
    low, high = torch.tensor(known.low), torch.tensor(known.high)
    if not known.low or not known.high:
        if not known.std:
            return None, None
        mean, std = torch.tensor(known.mean), torch.tensor(known.std)
        low, high = -mean / std, (1 - mean) / std
    per_channel = len(low) == model.shape.input_shape[0]
    trailing = (1,) * (len(model.shape.input_shape) - 1) if per_channel else ()
    return low.reshape(-1, *trailing), high.reshape(-1, *trailing)


def find_head(model: SharedModel) -> Head | None:
    """The linear layer that makes the logits, found by a forward probe; None where there is none."""
    module = fresh_module(model)
    made: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _m, _i, output, path=path: made.__setitem__(path, output))
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == model.shape.classes
    ]
    with torch.no_grad():
        outputs = module(probe_inputs(model, 2, generator=torch.Generator().manual_seed(0)))
    for hook in hooks:
        hook.remove()
    for path, output in reversed(made.items()):
        if isinstance(outputs, Tensor) and output.shape == outputs.shape and torch.equal(output, outputs):
            bias = f"{path}.bias" if dict(module.named_parameters()).get(f"{path}.bias") is not None else None
            return Head(f"{path}.weight", bias, path)
    return None

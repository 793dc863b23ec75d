"""Layers whose neurons can be silenced: far below zero they get no gradient."""

import torch
from torch import Tensor, nn

from auditor.learning.modes import to_evaluation

_BELOW, _ABOVE = -20.0, 1.0
_SILENT = 1e-5


def gated_layer(module: nn.Module, inputs: Tensor) -> str | None:
    """Path of the first linear layer with a bias that reads one row a record and whose neurons fall silent.

    Its outputs are replaced: where all lie far below zero the answer may not change with them, and above zero it must.
    So whatever follows counts however it is called: ReLU and GELU, and tanh, which saturates; LeakyReLU does not.

    Args:
        module: The model; run in eval mode.
        inputs: A batch, ``(n, ...)``.

    Returns:
        None where there is no such layer; for an exported program, which has no layers.
    """
    training = module.training
    to_evaluation(module)
    try:
        return next((path for path in _rows(module, inputs) if _falls_silent(module, inputs, path)), None)
    finally:
        if training:
            module.train()


def layer_inputs(module: nn.Module, path: str) -> "_Given":
    """Context in which the inputs and outputs of a layer are kept, for calls of ``module``."""
    return _Given(module.get_submodule(path))


class _Given:
    """What a layer was last given, ``(n, inputs)``, and made of it, ``(n, outputs)``."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self.inputs = self.outputs = torch.empty(0)

    def __enter__(self) -> "_Given":
        self._handle = self._layer.register_forward_hook(self._keep)
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.remove()

    def _keep(self, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        self.inputs, self.outputs = given[0], output


def _rows(module: nn.Module, inputs: Tensor) -> list[str]:
    """Trained linear layers with a bias, in the order of their calls, that read a matrix of one row a record."""
    found: list[str] = []

    def note(path: str, given: Tensor) -> None:
        if given.dim() == 2 and len(given) == len(inputs) and path not in found:
            found.append(path)

    layers = {
        path: layer
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and layer.bias is not None and layer.weight.requires_grad
    }
    handles = [
        layer.register_forward_pre_hook(lambda _layer, given, path=path: note(path, given[0]))
        for path, layer in layers.items()
    ]
    try:
        with torch.no_grad():
            module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _falls_silent(module: nn.Module, inputs: Tensor, path: str) -> bool:
    below, above = (_slope(module, inputs, path, level) for level in (_BELOW, _ABOVE))
    return bool(above.max() > 0) and bool(below.max() <= _SILENT * above.max())


def _slope(module: nn.Module, inputs: Tensor, path: str, level: float) -> Tensor:
    """How much the model's answer depends on each output of a layer, where all of these are ``level``."""
    held: list[Tensor] = []

    def replace(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        held.append(torch.full_like(output, level).requires_grad_())
        return held[-1].clone()

    handle = module.get_submodule(path).register_forward_hook(replace)
    try:
        with torch.enable_grad():
            answer = module(inputs)
            if not answer.requires_grad:
                return torch.zeros_like(held[-1])
            (slope,) = torch.autograd.grad(answer.square().sum(), held[-1], materialize_grads=True)
    finally:
        handle.remove()
    return slope.abs()

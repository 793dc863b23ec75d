"""Which layer inputs an update can have come from: the span of a linear layer's weight gradient.

The gradient of a linear layer's weight is the sum over positions of (output gradient) x (layer input), so all its
rows lie in the span of the inputs. While there are fewer positions than input features, an input of the true batch
lies in that span and almost no other vector does (Petrov et al., 2024, arXiv:2405.15586, theorem 3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auditor.observations.model import State


class _Stop(Exception):
    """Ends a forward pass once the wanted layer was reached."""


@dataclass(frozen=True)
class Layer:
    """Linear layers that read the same input (query, key and value of one attention block count as one).

    Attributes:
        module: Path of the first of them, whose input is probed.
        weights: Names of their weights in the update, each ``(outputs, features)`` or transposed.
        transposed: True where a weight is ``(features, outputs)`` (``Conv1D`` of GPT-2).
    """

    module: str
    weights: tuple[str, ...]
    transposed: bool


@dataclass(frozen=True)
class Span:
    """The span of a layer's inputs.

    Attributes:
        basis: Orthonormal rows, ``(rank, features)``.
        features: Size of the input.
    """

    basis: Tensor
    features: int

    @property
    def rank(self) -> int:
        return len(self.basis)

    def distance(self, vectors: Tensor) -> Tensor:
        """Share of each vector's length that lies outside the span, in [0, 1]. ``(..., features)`` to ``(...)``."""
        unit = vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        inside = unit @ self.basis.T
        outside: Tensor = (1 - inside.square().sum(-1)).clamp_min(0)
        return outside.sqrt()


def span_of(gradient: State, layer: Layer, *, noise: float) -> Span:
    """Row space of the stacked weight gradients; directions that noise or rounding explain are left out."""
    parts = [gradient[name].double().cpu() for name in layer.weights]
    rows = torch.cat([part.T if layer.transposed else part for part in parts])
    _, values, basis = torch.linalg.svd(rows, full_matrices=False)
    rounding = float(values[0]) * max(rows.shape) * torch.finfo(torch.float32).eps
    limit = max(rounding, 1.05 * noise * (rows.shape[0] ** 0.5 + rows.shape[1] ** 0.5))
    return Span(basis[values > limit].float(), rows.shape[1])


def reading_layers(module: nn.Module, update: State, tokens: Tensor) -> list[Layer]:
    """Layers with weights in ``update`` that read ``(n, positions, features)``, in the order of the forward pass."""
    groups: list[tuple[Tensor, list[str], bool]] = []

    def visit(path: str, transposed: bool) -> None:
        def hook(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
            if not given or given[0].ndim != 3:
                return
            last = groups[-1] if groups else None
            if last is not None and last[0] is given[0]:
                last[1].append(path)
            else:
                groups.append((given[0], [path], transposed))

        module.get_submodule(path).register_forward_pre_hook(hook)

    for path, part in module.named_modules():
        own = dict(part.named_parameters(recurse=False))
        if "weight" in own and own["weight"].ndim == 2 and not isinstance(part, nn.Embedding):
            visit(path, not isinstance(part, nn.Linear))
        elif isinstance(part, nn.MultiheadAttention):
            visit(path, False)
    with torch.no_grad():
        module(tokens)
    found = []
    for _, paths, transposed in groups:
        names = [name for path in paths for name in (f"{path}.weight", f"{path}.in_proj_weight") if name in update]
        if names:
            found.append(Layer(paths[0], tuple(names), transposed))
    return found


class InputProbe:
    """Runs a model up to one layer and returns what that layer reads.

    Args:
        module: The model with the update's ``before`` state, in evaluation mode.
        layer: Where to stop.
    """

    def __init__(self, module: nn.Module, layer: Layer) -> None:
        self._module = module
        self._path = layer.module

    def __call__(self, tokens: Tensor) -> Tensor:
        """Layer inputs ``(n, positions, features)`` of token ids ``(n, positions)``."""
        kept: list[Tensor] = []

        def hook(_module: nn.Module, given: tuple[Tensor, ...]) -> None:
            kept.append(given[0])
            raise _Stop

        handle = self._module.get_submodule(self._path).register_forward_pre_hook(hook)
        try:
            with torch.no_grad():
                self._module(tokens)
        except _Stop:
            pass
        finally:
            handle.remove()
        return kept[0]


def depends_on_earlier(probe: InputProbe, tokens: Tensor) -> bool:
    """True where what the layer reads at the last position changes with the first token."""
    return bool((probe(tokens)[:, -1] - probe(_changed(tokens, 0))[:, -1]).abs().max() > 1e-6)


def depends_on_later(probe: InputProbe, tokens: Tensor) -> bool:
    """True where what the layer reads at the first position changes with the last token (no causal mask)."""
    return bool((probe(tokens)[:, 0] - probe(_changed(tokens, -1))[:, 0]).abs().max() > 1e-6)


def _changed(tokens: Tensor, position: int) -> Tensor:
    other = tokens.clone()
    other[:, position] = torch.where(tokens[:, position] > 0, tokens[:, position] - 1, tokens[:, position] + 1)
    return other


def first_that(layers: Sequence[Layer], module: nn.Module, tokens: Tensor, *, mixes: bool) -> Layer | None:
    """The first layer whose input does (or does not) depend on earlier tokens."""
    for layer in layers:
        if depends_on_earlier(InputProbe(module, layer), tokens) is mixes:
            return layer
    return None

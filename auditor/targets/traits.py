"""Traits of a model that attacks ask for, found by watching one forward pass."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from auditor.learning.gates import gated_layer
from auditor.learning.randomness import seeded

_ATTENTION = ("scaled_dot_product_attention", "multi_head_attention_forward")
_DENSE = (nn.Linear, nn.modules.conv._ConvNd)
_MOVES_ONLY = ("view", "reshape", "flatten", "_unsafe_view", "contiguous", "clone", "alias", "unsqueeze", "squeeze")


@dataclass
class _Pass:
    """What a forward pass called, in order."""

    layers: list[tuple[nn.Module, Tensor]] = field(default_factory=list)
    attention: bool = False


class _Watch(TorchFunctionMode):
    """Notes calls of attention functions, which are no modules."""

    def __init__(self, seen: _Pass) -> None:
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _ATTENTION:
            self.seen.attention = True
        return func(*args, **(kwargs or {}))


def model_traits(module: nn.Module, inputs: Tensor) -> frozenset[str]:
    """Traits as listed in :class:`auditor.core.shape.TargetShape`.

    Args:
        module: The model; run once in eval mode.
        inputs: A real batch, shape ``(n, ...)``.
    """
    found = _exported_traits(module) if isinstance(module, fx.GraphModule) else _module_traits(module, inputs)
    if inputs.is_floating_point():
        found.add("continuous_input")
    return frozenset(found)


def layer_counts(module: nn.Module) -> dict[str, int]:
    """Leaf layers by class name, in order of first appearance; for an exported program its tensor operations."""
    if isinstance(module, fx.GraphModule):
        calls = (_operation(node) for node in module.graph.nodes if node.op == "call_function")
        return dict(Counter(name for name in calls if name))
    leaves = (part for part in module.modules() if not any(True for _ in part.children()))
    return dict(Counter(type(leaf).__name__ for leaf in leaves))


def _module_traits(module: nn.Module, inputs: Tensor) -> set[str]:
    seen = _watched(module, inputs)
    found = {"attention"} if seen.attention else set()
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            found.add("batch_norm")
        if isinstance(part, nn.Embedding | nn.EmbeddingBag):
            found.add("embedding")
        if isinstance(part, nn.MultiheadAttention) or "attention" in type(part).__name__.lower():
            found.add("attention")
        if isinstance(part, _DropoutNd) and part.p > 0:
            found.add("dropout")
    trained = [(layer, given) for layer, given in seen.layers if any(p.requires_grad for p in layer.parameters(False))]
    if trained:
        layer, given = trained[0]
        if isinstance(layer, nn.Linear) and _is_input(given, inputs):
            found.add("first_layer_linear")
        if getattr(layer, "bias", None) is not None:
            found.add("first_layer_bias")
    dense = [layer for layer, _ in trained if isinstance(layer, _DENSE)]
    if dense and dense[-1].bias is not None:
        found.add("classifier_bias")
    if gated_layer(module, inputs) is not None:
        found.add("gated_layer")
    return found


def _watched(module: nn.Module, inputs: Tensor) -> _Pass:
    seen = _Pass()

    def note(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        if given and isinstance(given[0], Tensor):
            seen.layers.append((layer, given[0]))

    own = [part for part in module.modules() if next(part.parameters(recurse=False), None) is not None]
    handles = [part.register_forward_hook(note) for part in own]
    training = module.training
    try:
        module.eval()
        with torch.no_grad(), seeded(0), _Watch(seen):
            module(inputs)
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return seen


def _is_input(given: Tensor, inputs: Tensor) -> bool:
    """True where a layer sees each whole record as one row, unchanged."""
    flat = inputs.flatten(1)
    return given.shape == flat.shape and torch.equal(given.to(flat.dtype), flat)


def _exported_traits(module: fx.GraphModule) -> set[str]:
    nodes = [node for node in module.graph.nodes if node.op == "call_function"]
    names = [_operation(node) for node in nodes]
    found = set()
    for trait, words in {
        "batch_norm": ("batch_norm",),
        "embedding": ("embedding",),
        "dropout": ("dropout",),
        "attention": _ATTENTION,
    }.items():
        if any(word in name for word in words for name in names):
            found.add(trait)
    dense = [node for node in nodes if _operation(node) in ("linear", "addmm", "conv1d", "conv2d", "convolution")]
    if dense:
        first, last = dense[0], dense[-1]
        if _operation(first) == "linear" and _from_input(first.args[0]):
            found.add("first_layer_linear")
        if len(first.args) > 2 and first.args[2] is not None:
            found.add("first_layer_bias")
        if len(last.args) > 2 and last.args[2] is not None:
            found.add("classifier_bias")
    return found


def _operation(node: fx.Node) -> str:
    """``linear`` of ``aten.linear.default``."""
    parts = str(node.target).split(".")
    return parts[1] if parts[0] == "aten" and len(parts) > 1 else ""


def _from_input(node: Any) -> bool:
    """True where only changes of shape lie between the model's input and ``node``."""
    while isinstance(node, fx.Node) and node.op == "call_function" and _operation(node) in _MOVES_ONLY:
        node = node.args[0]
    return isinstance(node, fx.Node) and node.op == "placeholder"

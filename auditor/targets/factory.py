"""Builds the user's model, and finds the layout of the inputs that it accepts."""

import contextlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from auditor.core.errors import TargetError
from auditor.core.shape import Task
from auditor.learning.modes import to_evaluation
from auditor.learning.randomness import seeded
from auditor.targets.code import Named, said
from auditor.targets.exported import load_exported
from auditor.targets.fields import Values
from auditor.targets.layouts import Layout
from auditor.targets.vocabulary import check_vocabulary

PROBE = 5
"""Records in a trial batch: a number that no channel count equals by chance."""

_SIZES = {
    "input_shape": ("input_shape", "shape"),
    "features": ("features", "in_features", "n_features", "num_features", "input_size", "input_dim", "inputs"),
    "classes": ("classes", "n_classes", "num_classes", "out_features", "outputs", "output_dim"),
    "vocabulary": ("vocabulary", "vocab_size", "vocab", "num_embeddings"),
}


@dataclass(frozen=True)
class ModelFactory:
    """Returns a fresh model at each call; picklable.

    Attributes:
        named: The user's callable, or None for a ``.pt2`` file.
        exported: The ``.pt2`` file, or None.
        where: For messages.
        arguments: What the callable asks for, e.g. ``{"classes": 10}``.
        record: Shape of one record, with which layers of a size not yet known (``LazyLinear``) are made.
        one_logit: True where the model answers one logit for two classes; the logit of class 0 is then 0.
    """

    named: Named | None
    exported: Path | None
    where: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    record: tuple[int, ...] = ()
    one_logit: bool = False

    def __call__(self) -> nn.Module:
        module = load_exported(self.exported, self.where) if self.exported else self._called().float()
        if any(is_lazy(parameter) for parameter in module.parameters()):
            with torch.no_grad(), contextlib.suppress(Exception):  # a failure shows again in the trial
                module(torch.zeros(PROBE, *self.record))
        if self.one_logit:
            module.register_forward_hook(_two_logits)
        return module

    def _called(self) -> nn.Module:
        assert self.named is not None
        module = self.named.call(**self.arguments)
        if not isinstance(module, nn.Module):
            raise TargetError(
                f"{self.where}: {self.named.text} returned {type(module).__name__}, not a torch.nn.Module.",
                remedy="Return the model from the function.",
            )
        return module


def _two_logits(module: nn.Module, inputs: Any, outputs: Tensor) -> Tensor:
    """``(n,)`` or ``(n, 1)`` logits z as ``(n, 2)`` logits (0, z): cross-entropy of these is BCE with logits."""
    logits = outputs.reshape(len(outputs), 1)
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


@dataclass(frozen=True)
class Accepted:
    """The layout that the model takes.

    Attributes:
        outputs: Answers to the trial batch, shape ``(PROBE, ...)``.
        factory: The factory with its arguments filled.
    """

    layout: Layout
    outputs: Tensor
    factory: ModelFactory


def arguments_for(named: Named, *, record: tuple[int, ...], classes: int, vocabulary: int) -> dict[str, Any]:
    """Values for the parameters that the callable requires, by their names; most callables require none.

    Raises:
        TargetError: It requires something that the tool does not know.
    """
    function = named.load()
    if isinstance(function, nn.Module):
        raise TargetError(
            f"{named.where}: {named.text} is a model that is built already.",
            remedy="Name the class or a function that builds it, so that it can also be built with fresh weights.",
        )
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    size = 1
    for length in record:
        size *= length
    known = {"input_shape": record, "features": size, "classes": classes, "vocabulary": vocabulary}
    by_name = {name: known[what] for what, names in _SIZES.items() for name in names}
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    unknown = [p.name for p in required if p.name not in by_name or p.kind is p.POSITIONAL_ONLY]
    if unknown:
        raise TargetError(
            f"{named.where}: {named.text} requires '{unknown[0]}', which the tool does not know.",
            remedy=f"Give it a default; {', '.join(_SIZES)} may be required and are filled in.",
        )
    return {p.name: by_name[p.name] for p in required}


def accepted(
    factory: ModelFactory, sample: Values, *, layouts: Sequence[Layout], task: Task, classes: int, vocabulary: int
) -> Accepted:
    """The first layout of ``sample``, shape ``(PROBE, ...)``, that the model answers in a form fit for the task.

    Raises:
        TargetError: None fits; says what the model answered to the first, and how it may be mended.
    """
    refusals = []
    for layout in layouts:
        batch = torch.from_numpy(layout.arrange(sample))
        filled = factory
        if factory.named:
            given = arguments_for(factory.named, record=tuple(batch.shape[1:]), classes=classes, vocabulary=vocabulary)
            filled = replace(factory, arguments=given, record=tuple(batch.shape[1:]))
        with seeded(0):
            module = filled()
        check_vocabulary(module, batch, vocabulary, where=factory.where)
        outcome = _answer(module, batch, task)
        if isinstance(outcome, Tensor):
            return Accepted(layout, outcome, filled)
        refusals.append(f"{tuple(batch.shape)}: {outcome}")
    if factory.exported and any("dynamic" in refusal for refusal in refusals):
        raise TargetError(
            f"{factory.where}: {factory.exported.name} was exported for one batch size.",
            remedy="Export it with dynamic_shapes, so that the first axis may have any length.",
        )
    others = f" Also tried: {'; '.join(refusals[1:])}." if len(refusals) > 1 else ""
    raise TargetError(
        f"{factory.where}: the model does not accept the data. A batch of shape {refusals[0]}.{others}",
        remedy="Let the first layer fit the shape of the data, or name other inputs in target.data.",
    )


def _answer(module: nn.Module, batch: Tensor, task: Task) -> Tensor | str:
    """The model's answer, or why it is none."""
    to_evaluation(module)
    try:
        with torch.no_grad(), seeded(0):
            outputs = module(batch)
    except KeyboardInterrupt:
        raise
    except Exception as error:
        return said(error)
    if not isinstance(outputs, Tensor):
        return f"the model returns {type(outputs).__name__}, not one tensor"
    shape = tuple(outputs.shape)
    if not shape or shape[0] != len(batch):
        return f"the model returns shape {shape}, not one row for each of the {len(batch)} records"
    wanted = {Task.CLASSIFICATION: (1, 2), Task.REGRESSION: (1, 2), Task.LANGUAGE_MODEL: (3,)}[task]
    if len(shape) not in wanted:
        form = "(records, tokens, vocabulary)" if task is Task.LANGUAGE_MODEL else "(records, classes)"
        return f"the model returns shape {shape}, not {form}"
    return outputs

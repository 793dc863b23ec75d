"""From ``audit.yaml`` to the target: data, splits, model and weights, tried with one batch."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from auditor.config.document import AuditDocument
from auditor.core.errors import TargetError
from auditor.core.results import SplitSummary
from auditor.core.shape import TargetShape, Task
from auditor.learning.randomness import seeded
from auditor.observations.model import Preprocessing, SharedModel
from auditor.observations.records import Records
from auditor.targets.code import Named
from auditor.targets.factory import PROBE, Accepted, ModelFactory, accepted
from auditor.targets.fields import Values
from auditor.targets.fit import check_vocabulary, shared_preprocessing
from auditor.targets.inputs import Inputs, read_inputs
from auditor.targets.labels import Labels, class_count, class_labels, regression_targets
from auditor.targets.losses import named_loss, per_record
from auditor.targets.probe import BATCH, Probe, probe
from auditor.targets.sizes import federation_sizes
from auditor.targets.source import Source, place, read_source
from auditor.targets.splits import ROLES, Splits, content_hash, record_keys, split_records
from auditor.targets.target import Target
from auditor.targets.traits import layer_counts, model_traits
from auditor.targets.warnings import refuse_mixing, warnings_of
from auditor.targets.weights import file_sha256, load_weights


def load_target(document: AuditDocument) -> Target:
    """Load everything that is audited, and try it with one batch and one gradient.

    Raises:
        TargetError: Model, weights or data cannot be used as they are; says what to change.
    """
    target, _ = load_and_probe(document)
    return target


def load_and_probe(document: AuditDocument) -> tuple[Target, Probe]:
    """The target, and what the trial batch showed.

    Raises:
        TargetError: As :func:`load_target`.
    """
    return _Loading(document).target()


class _Loading:
    """The steps of one load, each of which needs the ones before."""

    def __init__(self, document: AuditDocument) -> None:
        self.document = document
        self.settings = document.settings
        self.source: Source = read_source(document)
        self.inputs: Inputs = self._inputs()
        self.keys = self._keys()
        self.splits: Splits = self._splits()
        self.accepted: Accepted = self._accepted()
        self.labels: Labels = self._labels()
        self.facts: list[str] = []

    def place(self, setting: str) -> str:
        return place(self.document, setting)

    def named(self, setting: str, text: str) -> Named:
        return Named(text, self.document.folder, self.place(setting))

    # -- steps ---------------------------------------------------------------------------------------------------

    def _inputs(self) -> Inputs:
        data = self.settings.target.data
        tokenizer = self.named("target.data.tokenizer", data.tokenizer) if data.tokenizer else None
        names = ("inputs", "normalise", "categorical")
        return read_inputs(
            self.source.inputs,
            modality=self.settings.target.modality,
            data=data,
            tokenizer=tokenizer,
            where={name: self.place(f"target.data.{name}") for name in names},
        )

    def _keys(self) -> Values:
        labels = self.source.labels
        if labels is not None and len(labels) != len(self.inputs.content):
            raise TargetError(
                f"{self.place('target.data.labels')}: {len(labels):,} labels for {len(self.inputs.content):,} records."
            )
        return record_keys(self.inputs.content, *(() if labels is None else (labels,)))

    def _splits(self) -> Splits:
        return split_records(
            self.keys,
            data=self.settings.target.data,
            column=self.source.split,
            seed=self.settings.audit.seed,
            where={role: self.place(f"target.data.{role}") for role in ROLES},
        )

    def _accepted(self) -> Accepted:
        target = self.settings.target
        where = self.place("target.model")
        exported = None if ":" in target.model else (self.document.folder / target.model)
        if exported is not None and not exported.is_file():
            raise TargetError(
                f"{where}: there is no file '{target.model}' in {self.document.folder}.",
                remedy="Paths are relative to the folder of the audit file.",
            )
        named = None if exported is not None else self.named("target.model", target.model)
        rows = np.resize(self.splits.rows["members"], PROBE)
        found = accepted(
            ModelFactory(named, exported, where),
            self.inputs.as_floats(self.inputs.content[rows]),
            layouts=self.inputs.layouts,
            task=target.task,
            classes=self._raw_classes(),
            vocabulary=self.inputs.vocabulary,
        )
        if target.task is Task.CLASSIFICATION and math.prod(found.outputs.shape[1:]) == 1 and self._raw_classes() == 2:
            return replace(
                found, factory=replace(found.factory, one_logit=True), outputs=found.outputs.new_zeros(PROBE, 2)
            )
        return found

    def _raw_classes(self) -> int:
        if self.settings.target.task is Task.CLASSIFICATION and self.source.labels is not None:
            return class_count(self.source.labels)
        return 1

    def _labels(self) -> Labels:
        task = self.settings.target.task
        where = self.place("target.data.labels")
        outputs = self.accepted.outputs
        if task is Task.LANGUAGE_MODEL or self.source.labels is None:
            return Labels(self.inputs.content, int(outputs.shape[-1]))
        if task is Task.CLASSIFICATION:
            width = int(outputs.shape[1]) if outputs.ndim == 2 else 1
            return class_labels(self.source.labels, outputs=width, where=where)
        labels = regression_targets(self.source.labels, where=where)
        if math.prod(outputs.shape[1:]) != labels.classes:
            raise TargetError(
                f"{where}: each record has {labels.classes} targets, but the model returns {tuple(outputs.shape[1:])}.",
                remedy="Let the last layer return one number for each target.",
            )
        return labels

    # -- the whole -----------------------------------------------------------------------------------------------

    def target(self) -> tuple[Target, Probe]:
        scaled = self.inputs.prepared(self.accepted.layout, self._reference())
        inputs, labels = torch.from_numpy(scaled.inputs), torch.from_numpy(self.labels.values)
        records = {role: self._records(inputs, labels, role) for role in ROLES}
        shared, loss_facts = self._shared(records["members"], scaled.preprocessing)
        state, weights_sha256, weight_facts = self._weights(shared)
        seen = probe(
            shared,
            records["members"][:BATCH],
            state=state,
            batch_norm=self.settings.federation.batch_norm,
            where=self.place("target.model"),
        )
        refuse_mixing(self.settings, seen, self.place("target.model"))
        with seeded(0):
            layers = layer_counts(shared.build())
        facts = [*self._shape_facts(inputs), *scaled.facts, *loss_facts, *weight_facts]
        target = Target(
            model=shared,
            weights=state,
            members=records["members"],
            nonmembers=records["nonmembers"],
            population=records["population"],
            member_groups=self._groups(),
            splits=self._summaries(),
            facts=tuple(dict.fromkeys(facts)),
            warnings=(
                *self.splits.warnings,
                *warnings_of(self.settings, shared, seen, records),
                *self._group_warnings(),
            ),
            layers=layers,
            model_name=self.settings.target.model,
            model_sha256=self._model_sha256(),
            weights_sha256=weights_sha256,
        )
        return target, seen

    def _reference(self) -> Values:
        """Whose statistics standardise: the population's; the non-members' where there is no population."""
        population = self.splits.rows["population"]
        return population if len(population) else self.splits.rows["nonmembers"]

    def _records(self, inputs: Tensor, labels: Tensor, role: str) -> Records:
        rows = torch.from_numpy(self.splits.rows[role])
        return Records(inputs[rows], labels[rows])

    def _shared(self, members: Records, preprocessing: Preprocessing) -> tuple[SharedModel, tuple[str, ...]]:
        target = self.settings.target
        loss = named_loss(target.loss, target.task, named=lambda: self.named("target.loss", target.loss))
        sample = members[:PROBE]
        outputs = self.accepted.outputs[: len(sample)]
        checked, facts = per_record(loss, outputs, sample.labels, self.place("target.loss"))
        with seeded(0):
            module = self.accepted.factory()
        vocabulary = check_vocabulary(module, sample.inputs, self.inputs.vocabulary, where=self.place("target.model"))
        shape = TargetShape(
            modality=target.modality,
            task=target.task,
            classes=self.labels.classes,
            input_shape=tuple(members.inputs.shape[1:]),
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            traits=model_traits(module, sample.inputs),
            **{role: len(rows) for role, rows in self.splits.rows.items()},
            **federation_sizes(self.settings.federation, len(members)),
        )
        shared = SharedModel(
            build=self.accepted.factory,
            loss=checked,
            shape=shape,
            preprocessing=shared_preprocessing(preprocessing, shape, vocabulary=vocabulary),
            evaluation_mode=self.accepted.factory.exported is not None,
        )
        return shared, facts

    def _weights(self, shared: SharedModel) -> tuple[dict[str, Tensor] | None, str | None, list[str]]:
        name = self.settings.target.weights
        if name is None:
            return self._exported_weights(shared)
        path = self.document.folder / name
        state, facts = load_weights(path, shared.build(), self.place("target.weights"))
        return state, file_sha256(path), facts

    def _exported_weights(self, shared: SharedModel) -> tuple[dict[str, Tensor] | None, str | None, list[str]]:
        """The weights inside a ``.pt2`` file are the deployed ones where the settings say who trained them."""
        exported = self.accepted.factory.exported
        if exported is None or self.settings.target.data.members is None:
            return None, None, []
        state = {name: value.detach().clone() for name, value in shared.build().state_dict().items()}
        return state, file_sha256(exported), [f"the deployed weights are those inside {exported.name}"]

    def _groups(self) -> Tensor | None:
        if self.source.groups is None:
            return None
        _, ids = np.unique(self.source.groups.astype(str), return_inverse=True)
        return torch.from_numpy(ids[self.splits.rows["members"]].astype(np.int64))

    def _group_warnings(self) -> list[str]:
        groups, clients = self._groups(), self.settings.federation.clients
        found = clients if groups is None else len(set(groups.tolist()))
        if found == clients:
            return []
        return [f"the partition column has {found:,} values among the members, but federation.clients is {clients:,}"]

    def _summaries(self) -> tuple[SplitSummary, ...]:
        return tuple(
            SplitSummary(
                name=role,
                records=len(rows),
                sha256=content_hash(self.keys[rows]),
                drawn_by=self.splits.drawn_by[role],
            )
            for role in ROLES
            for rows in (self.splits.rows[role],)
        )

    def _shape_facts(self, inputs: Tensor) -> list[str]:
        shape = " x ".join(map(str, inputs.shape[1:]))
        layout = self.accepted.layout.words
        facts = [*self.source.facts, *self.inputs.facts, f"{layout}; a record is {shape}", *self.labels.facts]
        if given := self.accepted.factory.arguments:
            facts.append("the model was built with " + ", ".join(f"{key}={value}" for key, value in given.items()))
        if self.accepted.factory.one_logit:
            facts.append("the model answers one logit for two classes; it is read as logits (0, z)")
        return [*facts, *self.splits.facts]

    def _model_sha256(self) -> str:
        factory = self.accepted.factory
        if factory.named is not None:
            return factory.named.sha256()
        return file_sha256(factory.exported) if factory.exported else hashlib.sha256(b"").hexdigest()

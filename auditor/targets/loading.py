"""The steps from settings to inputs, splits, model and labels; each needs the ones before."""

import math
from dataclasses import replace

import numpy as np

from auditor.config.document import AuditDocument
from auditor.core.errors import TargetError
from auditor.core.shape import Task
from auditor.targets.code import Named
from auditor.targets.duplicates import record_keys
from auditor.targets.factory import PROBE, Accepted, ModelFactory, accepted
from auditor.targets.fields import Values
from auditor.targets.inputs import Inputs, read_inputs
from auditor.targets.labels import Labels, class_count, class_labels, regression_targets
from auditor.targets.source import Source, place, read_source
from auditor.targets.splits import ROLES, Splits, split_records


class Loading:
    """One load under way.

    Attributes:
        source: Values as they are in the data source.
        inputs: Recognised inputs of all records.
        keys: Digest of each record.
        splits: Record numbers of each role.
        accepted: The layout that the model takes, and what it answered.
        labels: Labels of all records.
    """

    def __init__(self, document: AuditDocument) -> None:
        self.document = document
        self.settings = document.settings
        self.source: Source = read_source(document)
        self.inputs: Inputs = self._inputs()
        self.keys = self._keys()
        self.splits: Splits = self._splits()
        self.accepted: Accepted = self._accepted()
        self.labels: Labels = self._labels()

    def place(self, setting: str) -> str:
        """Place and name of a setting, for messages."""
        return place(self.document, setting)

    def named(self, setting: str, text: str) -> Named:
        """The user's callable that a setting names."""
        return Named(text, self.document.folder, self.place(setting))

    def factory(self, setting: str, text: str) -> ModelFactory:
        """Builds the network that a setting names: the user's callable, or a ``.pt2`` file.

        Raises:
            TargetError: There is no such file.
        """
        where = self.place(setting)
        if ":" in text:
            return ModelFactory(self.named(setting, text), None, where)
        exported = self.document.folder / text
        if not exported.is_file():
            raise TargetError(
                f"{where}: there is no file '{text}' in {self.document.folder}.",
                remedy="Paths are relative to the folder of the audit file.",
            )
        return ModelFactory(None, exported, where)

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
        rows = np.resize(self.splits.rows["members"], PROBE)
        found = accepted(
            self.factory("target.model", target.model),
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
            labels = class_labels(self.source.labels, outputs=width, where=where)
            _refuse_one_class(labels.values[self.splits.rows["members"]], where)
            return labels
        labels = regression_targets(self.source.labels, where=where)
        if math.prod(outputs.shape[1:]) != labels.classes:
            raise TargetError(
                f"{where}: each record has {labels.classes} targets, but the model returns {tuple(outputs.shape[1:])}.",
                remedy="Let the last layer return one number for each target.",
            )
        return labels


def _refuse_one_class(members: Values, where: str) -> None:
    if (members == members[0]).all():
        raise TargetError(
            f"{where}: all members have the same label, so there is one class only to learn.",
            remedy="Name members of at least two classes.",
        )

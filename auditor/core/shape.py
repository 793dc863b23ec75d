"""What is public about a target before anything runs: enough to plan, nothing of the data."""

from enum import StrEnum

from pydantic import field_serializer

from auditor.core.base import Frozen


class Modality(StrEnum):
    """What a record is."""

    IMAGE = "image"
    TABULAR = "tabular"
    TEXT = "text"
    TIMESERIES = "timeseries"
    MULTIMODAL = "multimodal"


class Task(StrEnum):
    """What the model is trained to do."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    LANGUAGE_MODEL = "language_model"


class ModelState(StrEnum):
    """Which weights an attack met."""

    INITIAL = "initial"
    TRAINED = "trained"


class TargetShape(Frozen):
    """Sizes and traits of the target, as a protocol participant knows them.

    ``traits`` holds facts that attacks ask for: ``first_layer_linear`` (the first trainable layer is
    ``Linear`` on the flattened input), ``first_layer_bias``, ``classifier_bias``, ``batch_norm``,
    ``embedding``, ``attention``, ``dropout``, ``continuous_input``, ``gated_layer`` (a linear layer with a bias
    whose neurons get no gradient far below zero).
    """

    modality: Modality
    task: Task
    classes: int
    input_shape: tuple[int, ...]
    parameters: int
    traits: frozenset[str]
    members: int
    nonmembers: int
    population: int
    records_per_client: int
    records_per_update: int
    local_steps: int
    aggregated_clients: int

    @field_serializer("traits")
    def _sorted_traits(self, traits: frozenset[str]) -> list[str]:
        """A set has no order; what is hashed and signed needs one."""
        return sorted(traits)

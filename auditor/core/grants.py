"""What a scenario can hand to an adversary."""

from enum import StrEnum


class Grant(StrEnum):
    """One capability of an adversary. The wording after the name is what the report prints."""

    CLIENT_UPDATE = "client_update"
    AGGREGATE_UPDATE = "aggregate_update"
    ALL_ROUNDS = "all_rounds"
    PARTIAL_UPDATE = "partial_update"
    MODEL_WEIGHTS = "model_weights"
    MODEL_QUERIES = "model_queries"
    BATCH_NORM_STATISTICS = "batch_norm_statistics"
    LABELS = "labels"
    POPULATION_DATA = "population_data"
    TRAINING_RECIPE = "training_recipe"
    ALTERS_MODEL = "alters_model"
    ALTERS_UPDATE = "alters_update"
    JOINS_MANY_ROUNDS = "joins_many_rounds"
    CONTROLS_CLIENTS = "controls_clients"
    CHECKPOINT = "checkpoint"

    @property
    def words(self) -> str:
        """The capability as a clause: ``the adversary …``."""
        return _WORDS[self]


_WORDS = {
    Grant.CLIENT_UPDATE: "sees the update of a single client",
    Grant.AGGREGATE_UPDATE: "sees the sum of the updates of a round",
    Grant.ALL_ROUNDS: "keeps what it sees in every round",
    Grant.PARTIAL_UPDATE: "sees a part of an update",
    Grant.MODEL_WEIGHTS: "holds the weights of the model",
    Grant.MODEL_QUERIES: "may query the model and reads its scores",
    Grant.BATCH_NORM_STATISTICS: "sees batch-norm statistics of the client",
    Grant.LABELS: "knows the labels of the records",
    Grant.POPULATION_DATA: "holds other records of the same kind",
    Grant.TRAINING_RECIPE: "knows how the model is trained",
    Grant.ALTERS_MODEL: "may alter the model that clients receive",
    Grant.ALTERS_UPDATE: "may alter the update that it sends",
    Grant.JOINS_MANY_ROUNDS: "takes part in many rounds",
    Grant.CONTROLS_CLIENTS: "controls several clients",
    Grant.CHECKPOINT: "holds stored checkpoints",
}

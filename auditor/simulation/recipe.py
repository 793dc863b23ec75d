"""What a client does in a round, from the federation's settings."""

import math

from auditor.config.settings import FederationSettings
from auditor.observations.model import LocalTraining
from auditor.simulation.errors import SimulationError


def local_recipe(federation: FederationSettings, records_per_client: int) -> LocalTraining:
    """The recipe of a client that holds ``records_per_client`` records.

    FedSGD is one gradient of one batch; otherwise a client passes ``epochs`` times over its records.

    Raises:
        SimulationError: where ``proximal`` is set but the algorithm has no proximal term.
    """
    local = federation.local
    if local.proximal and federation.algorithm != "fedprox":
        raise SimulationError(
            f"federation.local.proximal is {local.proximal:g}, but '{federation.algorithm}' has no such term.",
            remedy="Set federation.algorithm to 'fedprox' or remove the setting.",
        )
    one_gradient = federation.algorithm == "fedsgd"
    batches = math.ceil(records_per_client / local.batch_size)
    return LocalTraining(
        algorithm=federation.algorithm,
        epochs=1 if one_gradient else local.epochs,
        batch_size=local.batch_size,
        optimizer=local.optimizer,
        learning_rate=local.learning_rate,
        momentum=local.momentum,
        proximal=local.proximal,
        steps=min(1, batches) if one_gradient else local.epochs * batches,
        batch_norm=federation.batch_norm,
    )

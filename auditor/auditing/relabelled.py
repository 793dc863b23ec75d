"""Canaries by input: members of the user's own training, some with a wrong label, as coins decide."""

from dataclasses import replace

import torch
from torch import Tensor

from auditor.auditing.mechanism import Played
from auditor.config.settings import FederationSettings, PrivacySettings
from auditor.core.seeds import derive_seed
from auditor.learning.functional import FunctionalModel
from auditor.observations.model import SharedModel
from auditor.observations.records import Records
from auditor.simulation.play import Play


def play_labels(
    federation: FederationSettings,
    privacy: PrivacySettings,
    model: SharedModel,
    members: Records,
    *,
    groups: Tensor | None,
    canaries: int,
    seed: int,
    device: str = "cpu",
) -> Played:
    """Train as declared on members of which some, each by a fair coin, carry a wrong label; then read the coins.

    Mislabelled records as canaries: Nasr et al., 2021, arXiv:2101.04535, section 4; Steinke et al., 2023,
    arXiv:2305.08846, section 6. Which client holds which record does not follow the altered labels, so a coin changes
    one record and nothing else. The score is the log-odds of the wrong label against the true one under the last model.

    Args:
        federation, privacy, model, members, groups: As the audited model is trained.
        canaries: At most so many; every record can be one.

    Raises:
        SimulationError, Diverged: as for any training.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "canaries"))
    chosen = torch.randperm(len(members), generator=generator)[:canaries]
    included = torch.rand(len(chosen), generator=generator) < 0.5
    classes = model.shape.classes
    true = members.labels[chosen]
    wrong = (true + torch.randint(1, classes, (len(chosen),), generator=generator)) % classes
    labels = members.labels.clone()
    labels[chosen] = torch.where(included, wrong, true)
    functional = FunctionalModel(model, device=device, batch_norm=federation.batch_norm)
    play = Play.prepared(federation, privacy, functional, members, groups=groups, seed=derive_seed(seed, "training"))
    play = replace(play, records=Records(members.inputs, labels).to(functional.device))
    state = play.start(None)
    for number in range(federation.rounds):
        cohort = play.cohort(number)
        state, _ = play.finish(state, cohort, play.work(state, cohort))
    with torch.no_grad():
        outputs = functional.outputs(state, members.inputs[chosen].to(functional.device)).cpu().double()
    logits = outputs.reshape(len(chosen), -1)
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    odds = logits.gather(1, wrong[:, None]) - logits.gather(1, true[:, None])
    return Played(odds.squeeze(1), included)

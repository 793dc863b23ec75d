"""A round as somebody in the federation sees it."""

from collections.abc import Callable, Collection

from torch import Tensor

from auditor.observations.model import State
from auditor.observations.released import RoundView
from auditor.simulation.play import Play
from auditor.simulation.rounds import PlayedRound


def server_view(played: PlayedRound, play: Play, *, sees_clients: bool) -> RoundView | None:
    """What the server keeps: the updates as they arrived, and their mean before it adds noise of its own.

    Args:
        played: The round.
        play: Knows how an update moves the model.
        sees_clients: False under secure aggregation.

    Returns:
        None where nothing was released.
    """
    combined, cohort = played.settled.combined, _cohort(played)
    if combined is None or not cohort:
        return None
    move = _moves(play)
    sent = zip(cohort, played.settled.sent, strict=True)
    return RoundView(
        round=played.cohort.round,
        before=played.before,
        updates={client: move(each.update) for client, each in sent} if sees_clients else {},
        cohort=cohort,
        aggregate=move(combined.before_server_noise),
    )


def clients_view(played: PlayedRound, play: Play, *, own: Collection[int]) -> RoundView | None:
    """What clients that act together see: the model before and after, less what they sent themselves.

    The server's noise is in it. Where the server combines by another rule than a mean, nothing can be subtracted.

    Args:
        played: The round.
        play: Knows how an update moves the model.
        own: The clients that act together.

    Returns:
        None where none of the others took part.
    """
    combined = played.settled.combined
    others = tuple(client for client in _cohort(played) if client not in own)
    if combined is None or not others:
        return None
    return RoundView(
        round=played.cohort.round,
        before=played.before,
        updates={},
        cohort=others,
        aggregate=_moves(play)(_residual(played, combined.update, play, own)),
    )


def _cohort(played: PlayedRound) -> tuple[int, ...]:
    return tuple(task.client for task in played.cohort.tasks)


def _residual(played: PlayedRound, update: State, play: Play, own: Collection[int]) -> dict[str, Tensor]:
    """The mean over the other clients, from the mean over all."""
    mechanism, rule = play.mechanism, play.federation.aggregation.rule
    pairs = list(zip(_cohort(played), played.settled.sent, strict=True))
    if not any(client in own for client, _ in pairs) or (rule != "mean" and not mechanism.equal_weights):
        return dict(update)
    weights = {client: 1.0 if mechanism.equal_weights else each.weight for client, each in pairs}
    total = mechanism.cohort if mechanism.equal_weights else sum(weights.values())
    left = sum(weight for client, weight in weights.items() if client not in own)
    rest = {name: total * value for name, value in update.items()}
    for client, each in pairs:
        if client in own:
            rest = {name: value - weights[client] * each.update[name] for name, value in rest.items()}
    return {name: value / left for name, value in rest.items()}


def _moves(play: Play) -> Callable[[State], dict[str, Tensor]]:
    """From what is sent to how the model moves: a FedSGD client sends a gradient, of which a step is taken."""
    if play.federation.algorithm != "fedsgd":
        return dict
    rate = play.federation.local.learning_rate
    return lambda update: {name: -rate * value for name, value in update.items()}

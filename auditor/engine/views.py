"""Views that are no update: how they are made, and what must be there to ask about them."""

TRAININGS = frozenset({"rounds", "checkpoints"})
"""A whole training, played again."""

OF_WEIGHTS = frozenset({"weights", "labels", "masked"})
"""Made from the trained state."""

RELEASED = frozenset({"queries", "weights", "labels"})
"""Of the finished model, with all members and non-members as candidates; a further training can be asked the same."""

GAMES = frozenset({"queries", *TRAININGS, *OF_WEIGHTS})
"""Their candidates are members and non-members, in an order that says nothing."""

"""Views that are no update: how they are made, and what must be there to ask about them."""

TRAININGS = frozenset({"rounds", "checkpoints"})
"""A whole training, played again."""

OF_WEIGHTS = frozenset({"weights", "labels", "masked"})
"""Made from the trained state."""

GAMES = frozenset({"queries", *TRAININGS, *OF_WEIGHTS})
"""Their candidates are members and non-members, in an order that says nothing."""

"""Attacks that deviate from the protocol: they alter the model that clients receive, or the update they send."""

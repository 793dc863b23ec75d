"""Play federated rounds and emit observations."""

"""The results in the formats of other tools. Each is derived from the same results and carries their digest."""

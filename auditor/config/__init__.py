"""YAML to typed settings, each value with its line and column."""

"""Techniques of adversaries, one module each. They see observations, never the target."""

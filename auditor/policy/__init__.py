"""Thresholds to findings, risk, claims."""

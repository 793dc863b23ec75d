"""Reconstruction of records from updates."""

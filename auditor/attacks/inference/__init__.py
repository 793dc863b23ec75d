"""Inference of other things than membership: whose record, which property, which attribute."""

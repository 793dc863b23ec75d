"""Empirical lower bounds on epsilon from canaries.

Which of them are proven is written in docs/proofs/epsilon-audits.md; any other carries ``proven=False``.
"""

"""Seeds come from the audit seed and a name, never from order, worker or a global state."""

import hashlib


def derive_seed(audit_seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for the thing called ``names``; stable across machines and versions."""
    text = "\x1f".join([str(audit_seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

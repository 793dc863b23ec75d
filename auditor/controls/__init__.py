"""Law packs, and the rules from claims to control status."""

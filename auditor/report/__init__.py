"""``results.json`` to figures, HTML, PDF and exports. Never reaches torch."""

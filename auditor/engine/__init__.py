"""Turn a plan into finished units: order, execute, cache, resume, progress."""

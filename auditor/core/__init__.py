"""Types that every other folder speaks in. Standard library and pydantic only."""

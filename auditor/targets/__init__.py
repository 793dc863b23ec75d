"""Load the user's model and data safely; hold the truth."""

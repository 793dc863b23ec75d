"""What both sides of the game need: the model as a pure function, losses, local training."""

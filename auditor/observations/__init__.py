"""What an adversary receives, and what attacks return. Frozen; holds no truth beyond what was granted."""

"""What runs in a process of its own, so that time and peak memory are its own."""

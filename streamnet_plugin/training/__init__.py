"""Training: clips, a loop, and how the shipped checkpoint is made."""

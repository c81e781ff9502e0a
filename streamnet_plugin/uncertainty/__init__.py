"""How sure a method is of what it read."""

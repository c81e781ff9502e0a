"""Results: what they are, how they are written, tables and plots."""

"""Datasets, face crops, their cache, and clips made of them."""

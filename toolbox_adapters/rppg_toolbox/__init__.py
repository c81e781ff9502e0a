"""Adapters for ubicomplab/rPPG-Toolbox, which is imported at run time and never vendored."""

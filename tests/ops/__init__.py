"""Tests of the ops: a grid generated from the op table. Its checks are in grid.py, its samples in samples_*.py."""

"""Fluid's `fluid.incubate`: what feeds datasets."""

from . import data_generator

"""Fluid's `fluid.incubate`: what feeds datasets, and training by all ranks of a job."""

from . import data_generator, fleet

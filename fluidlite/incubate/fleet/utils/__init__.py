"""Fluid's helpers around fleet."""

from . import fleet_util

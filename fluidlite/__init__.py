"""fluidlite: embedding models in Fluid style, at the speed of memory, on CPUs."""

__version__ = "0.1.0"

"""Untouched paddle.fluid programs: ``python -m fluidlite SCRIPT`` runs them, ``check`` and ``api`` tell about names."""

"""Whole programs as they were published for Fluid 1.5 to 1.8, and what Fluid 1.8.5 printed for each."""

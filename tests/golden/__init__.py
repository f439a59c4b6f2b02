"""Golden recordings of Fluid 1.8.5, and the tools that make and replay them."""

"""Where characters come from, and what can be known about them without a network; NumPy only."""

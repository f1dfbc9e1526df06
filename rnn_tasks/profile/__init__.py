"""The profile of a recurrent layer: what it remembers, for how long, and at what cost, on one card."""

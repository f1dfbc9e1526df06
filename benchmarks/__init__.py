"""What the package costs, as ratios against peers that are measured in turn with it, on the same work."""

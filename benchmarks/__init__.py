"""What the package costs, as ratios against peers that do the same work, measured interleaved (A B B A)."""

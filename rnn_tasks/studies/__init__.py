"""Studies: plan many runs, do each run once, and compare the runs in tables and pictures."""

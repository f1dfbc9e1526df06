"""Run folders: naming, writing, finding and reading."""

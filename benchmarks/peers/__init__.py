"""Published recipes of copy, echo and variable-delay echo, reimplemented from their descriptions in plain PyTorch."""

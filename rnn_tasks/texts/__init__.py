"""Sources of text, a grammar and n-gram models; without PyTorch."""

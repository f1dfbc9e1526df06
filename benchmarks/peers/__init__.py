"""The published recipes that the package grew from, written again from their descriptions."""

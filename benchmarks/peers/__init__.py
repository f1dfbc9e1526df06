"""What came before: the recipes that the package grew from, written again from their descriptions."""

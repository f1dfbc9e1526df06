"""The explorer: a page that runs a trained network in a browser."""

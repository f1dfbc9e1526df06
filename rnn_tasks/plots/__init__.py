"""Pictures: each is a function of numbers and a width, shared by monitors, reports and studies."""

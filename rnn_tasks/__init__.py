"""Train recurrent networks on tasks that need memory, and see what they remember."""

__version__ = "0.1.0"

"""Run folders: how they are named, written, found, and read again."""

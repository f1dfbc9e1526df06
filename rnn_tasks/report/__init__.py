"""A report of trained networks: a section a question, each a function of the runs that are looked at."""

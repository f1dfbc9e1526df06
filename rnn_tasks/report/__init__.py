"""The report that ``analyze`` writes: one section for each question, each a function of the runs."""

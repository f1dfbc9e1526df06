"""The report that ``analyze`` writes: one section per question, each a function of the runs."""

"""Where the loop stands: what each step has, what waits for whom, rates over time; for terminals and as a page."""

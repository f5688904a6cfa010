"""Many fits that differ in a few values: what is tried, by which jobs, and what came of it."""

"""Whether shards are what they should be: everything that is wrong, and what they hold."""

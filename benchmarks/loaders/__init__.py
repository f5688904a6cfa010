"""One file a way of reading: each is run alone, in an environment of its own."""

"""Numbers for texts: how much of a reference an answer holds, and how far chance alone may have moved the number."""

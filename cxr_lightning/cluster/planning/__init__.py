"""A configuration becomes figures: memory, time and network of a training, before a GPU is there."""

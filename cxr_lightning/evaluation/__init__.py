"""From a model to numbers that doubt themselves."""

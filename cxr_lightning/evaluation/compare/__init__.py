"""From evaluations of several models to what surely differs between them."""

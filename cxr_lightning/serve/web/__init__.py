"""A page where a radiologist looks at a film and asks a model about it; nothing it is shown is ever written to disk."""

"""A cluster is more of the same: what runs before, around and beside the fits of many nodes."""

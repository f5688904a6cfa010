"""From studies to WebDataset tar shards with an index, and back to single samples."""

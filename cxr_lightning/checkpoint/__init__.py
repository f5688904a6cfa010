"""From a training step to durable weights: run directories, saving, loading."""

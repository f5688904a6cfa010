"""From a checkpoint to a folder that transformers and vLLM serve as it is."""

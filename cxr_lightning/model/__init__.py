"""From batches to logits: Hugging Face image-text-to-text models, composed from parts or taken whole."""

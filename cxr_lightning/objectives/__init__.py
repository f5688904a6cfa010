"""From logits to the loss."""

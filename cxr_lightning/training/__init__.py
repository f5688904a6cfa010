"""From the loss to a training step: the two stages as LightningModules, under DeepSpeed ZeRO."""

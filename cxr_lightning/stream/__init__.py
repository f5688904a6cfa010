"""From shards to batches: order, reading, encoding, packing, and the LightningDataModule around them."""

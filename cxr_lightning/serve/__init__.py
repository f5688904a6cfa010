"""From an exported folder to an answer about a radiograph."""

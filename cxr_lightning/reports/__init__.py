"""From a radiologist's free text to clean sections, a summary and a conversation."""

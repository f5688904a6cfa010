"""Judges: a language model behind an OpenAI-compatible endpoint compares and grades reports, and is itself tried."""

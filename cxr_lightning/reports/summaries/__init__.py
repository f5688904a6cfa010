"""Findings and impression enter, one fluent summary leaves, written by a language model and checked against both."""

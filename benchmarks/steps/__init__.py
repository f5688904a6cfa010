"""The ways of training that benchmarks/step.py compares: scripts that train a few steps and tell what they took."""

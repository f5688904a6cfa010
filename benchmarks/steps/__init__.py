"""The ways of training that benchmarks/step.py compares: each a script that trains a few steps and tells what they took."""

"""Train chest X-ray vision-language models on a cluster, from free-text reports to weights that serve.

The folders are the stations of one study's journey, in order: reports, shards, stream, model, objectives,
checkpoint, training, export, serve, evaluation. Importing the package costs nothing; each station imports what it
needs.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cxr-lightning")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"

"""A model's folder -> whether a server will take it, and which: read off its files, without loading a weight."""

from cxr_lightning.export.servable.finding import Finding
from cxr_lightning.export.servable.judging import judge
from cxr_lightning.export.servable.servers import Server, servers

__all__ = ["Finding", "Server", "judge", "servers"]

"""`cxr preflight`: nodes, network, disks, data and versions are looked at before a training begins."""

import os

# Before torch is loaded: its store would warn of each wait that ends without an answer, which here is an answer.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

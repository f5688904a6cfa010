"""Settings that hold for the tests of this folder."""

from __future__ import annotations

from hypothesis import settings

# Time is measured by tests that mean it; on a busy machine an example's deadline only says that the machine is busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

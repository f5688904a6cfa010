"""The page of one evaluation: how good, how sure, and whether it looked; then the studies themselves."""

from cxr_lightning.evaluation.page.study import StudyCard
from cxr_lightning.evaluation.page.writing import write_page

__all__ = ["StudyCard", "write_page"]

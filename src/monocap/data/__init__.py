"""Training and evaluation data: one `Sample`, readers of data sets, checks, and labels fitted to a user's own data."""

from monocap.data.catalog import names, open_dataset, recognise
from monocap.data.checks import Checked, Problem, check
from monocap.data.dataset import Collection, Dataset
from monocap.data.sample import DatasetInfo, Sample

__all__ = [
    "Checked",
    "Collection",
    "Dataset",
    "DatasetInfo",
    "Problem",
    "Sample",
    "check",
    "names",
    "open_dataset",
    "recognise",
]

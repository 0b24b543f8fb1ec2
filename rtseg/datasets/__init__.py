"""Labelled pictures on disk: readers of the common layouts, and taxonomies that translate between class sets."""

from rtseg.datasets.dataset import Dataset as Dataset
from rtseg.datasets.dataset import Sample as Sample
from rtseg.datasets.layouts import LAYOUTS as LAYOUTS
from rtseg.datasets.layouts import open_dataset as open_dataset
from rtseg.datasets.taxonomy import Taxonomy as Taxonomy
from rtseg.datasets.taxonomy import list_taxonomies as list_taxonomies
from rtseg.datasets.taxonomy import load_taxonomy as load_taxonomy
from rtseg.datasets.taxonomy import map_labels as map_labels

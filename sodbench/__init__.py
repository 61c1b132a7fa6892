"""sodbench: train, run, score and compare salient object detection models."""

__version__ = "0.1.0"

"""Predicting maps with a network or a baseline."""

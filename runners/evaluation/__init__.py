"""Scoring maps against masks."""

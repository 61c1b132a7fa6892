"""Checking, describing, downloading and preparing datasets."""

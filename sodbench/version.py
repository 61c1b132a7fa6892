"""The version of sodbench, in one place: importable by every module without importing another."""

__version__ = "0.1.0"

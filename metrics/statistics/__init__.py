"""The statistics of a comparison: resampling, significance and ranking."""

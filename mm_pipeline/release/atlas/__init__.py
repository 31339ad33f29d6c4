"""The public atlas page: a map, trends and tables in one HTML file, with the sectors of each place beside it."""

from mm_pipeline.release.atlas.page import write_atlas

__all__ = ["write_atlas"]

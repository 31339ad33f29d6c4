"""Tests of the atlas page."""

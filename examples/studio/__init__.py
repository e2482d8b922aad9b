"""Draws the examples' characters and clips and makes their beats: nothing here but code."""

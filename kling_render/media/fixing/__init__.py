"""Corrected copies of images and clips: what is wrong, what is done about it, and the doing."""

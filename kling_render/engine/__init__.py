"""Drives a plan: claims, submits, polls, fetches, publishes, recovers. Touches the world through ports only."""

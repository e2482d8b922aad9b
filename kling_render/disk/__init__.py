"""The disk: reading the user's project, publishing files that are complete or absent, locks."""

"""Attempts that only the user can settle: what is known of them, and the answers."""

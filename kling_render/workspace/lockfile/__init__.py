"""The lock file beside a shot list: what it promises, and how its results come into a store."""

"""The store's upkeep: what may go, what is wrong with it, and what can be fetched again."""

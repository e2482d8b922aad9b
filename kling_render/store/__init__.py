"""Durable state: the ledger of attempts and results, the content-addressed files, and the caches beside them."""

"""The output tree: takes, finals, sidecars, the index and the trash."""

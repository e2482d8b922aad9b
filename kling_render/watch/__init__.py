"""Watch mode: from changed files to settled batches, and from those to what may be rendered by itself."""

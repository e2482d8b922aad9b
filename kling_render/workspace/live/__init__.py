"""Watch mode: plans made again and again, and the runs that follow from them."""

"""Contact sheets: characters × motions with posters, as pages and as pictures."""

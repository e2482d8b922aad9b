"""The AI/ML API: the only room that knows the vendor's words, and the only one that imports httpx."""

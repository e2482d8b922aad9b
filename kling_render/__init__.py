"""kling-render: batch AI video renders from a YAML shot list."""

__version__ = "0.1.0"

"""Releases: what they are, what proves them, and how they move from one environment to the next, and back."""

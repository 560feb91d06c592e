"""Comparisons of methods: what their folders hold, what may be claimed of it, and how that is shown."""

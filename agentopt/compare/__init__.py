"""Comparisons: the same tasks, budgets, seeds and starting rule for several methods, run cell by cell."""

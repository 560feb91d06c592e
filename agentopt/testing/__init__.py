"""Fakes and contract checks, for the authors of methods and tasks too."""

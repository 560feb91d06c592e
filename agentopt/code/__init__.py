"""Code as what is searched: the literals of a file, edits of it, and what becomes of these."""

"""Code as what is searched: the literals of a file, edits of it, and the task that trains it."""

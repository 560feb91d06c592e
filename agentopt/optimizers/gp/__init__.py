"""A Gaussian process of our own: configurations as rows, the process over them, candidates, and the method `gp`."""

"""The search space cut into cells along the trials in it, and the choice of cells by a bandit's score."""

from agentopt.partition.cells import Cell, Partition, partition, whole_space

__all__ = ["Cell", "Partition", "partition", "whole_space"]

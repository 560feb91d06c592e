"""The search space: what a configuration may be, and its picture in the unit cube."""

from agentopt.space.definition import Name
from agentopt.space.parameters import Choice, Float, Int, Parameter
from agentopt.space.repairs import AtLeast
from agentopt.space.space import Cube, SearchSpace, as_space, reencoded

__all__ = ["AtLeast", "Choice", "Cube", "Float", "Int", "Name", "Parameter", "SearchSpace", "as_space", "reencoded"]

"""Runs untrusted programs apart from this machine, within limits, and takes what they leave."""

from agentopt.sandbox.box import Sandbox
from agentopt.sandbox.collector import Collected, Refusal, Refused, collect
from agentopt.sandbox.supervisor import Process
from agentopt.sandbox.tiers import why_not
from agentopt.sandbox.values import Execution, ExecutionStatus, Limits, Tier

__all__ = [
    "Collected",
    "Execution",
    "ExecutionStatus",
    "Limits",
    "Process",
    "Refusal",
    "Refused",
    "Sandbox",
    "Tier",
    "collect",
    "why_not",
]

"""The figures of a run, drawn for papers and slides: the same as on its page, as PNG and SVG."""

from agentopt.report.figures.run import convergence, run_figures, write_figures

__all__ = ["convergence", "run_figures", "write_figures"]

"""One page of HTML for a run or several: it opens offline, on a phone too, and nothing a model wrote can run in it.

Everything is in the one file: plotly's script, the data and the texts. Its content security policy lets no other script
run and no request leave, whatever a prompt, a reply or an error message holds.
"""

from agentopt.report.html.page import FILE, MOST_RUNS, Item, Notice, Picture, page_of, write_report
from agentopt.report.tables import Table

__all__ = ["FILE", "MOST_RUNS", "Item", "Notice", "Picture", "Table", "page_of", "write_report"]

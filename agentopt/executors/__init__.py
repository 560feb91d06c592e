"""Where trials run: in this process (`inline`) or in supervised child processes (`local`)."""

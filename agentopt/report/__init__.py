"""Reports of runs: the journal and the ledger of a run folder in, tables and figures out. No live study is touched."""

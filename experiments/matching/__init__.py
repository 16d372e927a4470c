"""The matching game and its siblings: sweeps, suggested runs, the table of correlation."""

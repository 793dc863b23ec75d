"""One module per command: parse, call, print, choose the exit code."""

"""The terminal: text that is safe there, tables, the progress bar."""

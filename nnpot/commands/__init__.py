"""The commands: plain typed functions, one per file, each reading as a story."""

"""The machine that nnpot runs on: its compiler, its processor, threads, and the cache of compiled code; no PyTorch."""

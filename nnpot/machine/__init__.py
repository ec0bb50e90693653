"""The machine that nnpot runs on: compiler, processor, threads, files, and the cache of compiled code; no PyTorch."""

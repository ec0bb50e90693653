"""Potentials in files: those of nnpot (`nnpot.py`), compiled packages (`aot.py`), those of other programs (`n2p2`)."""

"""Files that are damaged or made to do harm, and what nnpot does with them; `scripts/fuzz.py` runs it."""

"""Potentials in other programs; every engine imports its own library, and none is needed by the rest of nnpot."""

"""Potentials in the simulation engines of others; each engine is a module of its own, which imports its library."""

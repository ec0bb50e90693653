"""Potentials in LAMMPS: a pair style as a plugin, `fix external` without a compiler, ML-IAP for builds of one's own."""

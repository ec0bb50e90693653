"""Labelled sets of analytic physics, and the faults that are planted in them."""

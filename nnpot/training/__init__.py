"""Training with PyTorch Lightning: data, loss, task.  Knows nothing of descriptors or networks."""

"""From a PyTorch module to a graph of core ATen operators, each with its place in the model."""

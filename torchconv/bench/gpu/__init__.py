"""``python -m torchconv.bench gpu``: all that can be said of a GPU, by one command."""

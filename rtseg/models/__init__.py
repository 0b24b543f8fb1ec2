"""Bundles (a model on disk with its card) and the networks they were made from."""

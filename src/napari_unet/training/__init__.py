"""Losses, the training loop and scores."""

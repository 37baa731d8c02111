"""Exact tiles, and the objects found in them."""

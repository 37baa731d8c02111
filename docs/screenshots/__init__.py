"""The pictures of the tutorials: each is a screenshot of napari, driven as its page tells."""

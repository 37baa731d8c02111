"""The only code that knows Qt and napari."""

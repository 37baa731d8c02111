"""Files that can be opened in napari's window: models and OME-Zarr images."""

from __future__ import annotations

from napari_unet.io.ome_zarr_image import OmeChannel, OmeImage, is_ome_zarr, read_ome_zarr

__all__ = ["OmeChannel", "OmeImage", "is_ome_zarr", "read_ome_zarr"]

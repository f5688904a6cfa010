"""The whole journey on drawn radiographs, in minutes, on a laptop's CPU."""

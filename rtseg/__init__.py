"""rtseg: real-time video segmentation."""

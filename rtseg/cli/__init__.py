"""The `rtseg` command."""

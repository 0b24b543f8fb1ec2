"""Honest numbers: how fast a pipeline runs here, against its own engine alone and against the limit of the machine."""

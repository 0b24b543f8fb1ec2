"""Scores of a model on labelled pictures and on video, each with the protocol it was taken by."""

"""The bundles that ship with rtseg, one folder each, installed as the package `rtseg_engines`.

Only the bundles are installed (`model.onnx`, `model.toml`); the recipes beside them stay in the repository.
"""

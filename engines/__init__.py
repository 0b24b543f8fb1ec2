"""The bundles that ship with rtseg, one folder each, installed as the package `rtseg_engines`.

Only the bundles are installed (ONNX files, card and the weights that fine-tuning starts from); the recipes beside them
stay in the repository.
"""

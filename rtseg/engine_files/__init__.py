"""Engines on disk: what one depends on (key), what is known of it (manifest), and the user's cache of them.

The builder writes them and backends read them, so this lies below both. A backend opens one so:

    flavour, device = load_flavour(), current_device()
    key = engine_key(network, flavour, device, precision="fp16", form="planes")
    found = EngineCache().lookup(key)       # verified; built for this GPU, or ahead, without one
    if found.engine is None:                # found.reason says why in one line
        ...
    plan = found.engine.read_plan()         # bytes whose digest was compared
    kernels = found.engine.read_runtime_cache()             # tensorrt_rtx: of earlier runs, or None
    found.engine.manifest.inputs, .outputs                  # names, roles, dtypes, shapes, layouts
    found.engine.manifest.state_on(device)                  # proved, refused or unproved
    found.engine.write_runtime_cache(kernels)               # after the first run
"""

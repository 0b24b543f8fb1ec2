"""`rtseg serve`: the engine behind a page in the browser. An application of the pipeline; nothing imports it."""

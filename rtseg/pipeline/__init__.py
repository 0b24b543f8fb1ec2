"""The only room with threads: source, segmenter, compositor and sinks, put together."""

"""Effects as plain values, and the compositor that executes them."""

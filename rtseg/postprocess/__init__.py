"""What is done to a mask after the network: temporal smoothing and edge refinement."""

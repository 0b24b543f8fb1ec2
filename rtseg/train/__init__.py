"""Training: recipes, samples, losses, the loop that survives being killed, and fine-tuning of a bundle."""

"""Two judges of the same answers compared: agreement, what it changes, biases, noise."""

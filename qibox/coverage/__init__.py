"""Choosing a spread of samples over what they look like or what an embedding says of them."""

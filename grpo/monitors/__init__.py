"""A training's known failures: each a small function over what its steps measured."""

"""A run as a local web page: the box to move, samples to open, curves to compare, SQL to ask."""

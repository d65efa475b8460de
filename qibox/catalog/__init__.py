"""A run as SQL: its tables' files, the views over them, and the guard that only lets one read."""

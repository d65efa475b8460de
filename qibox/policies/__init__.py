"""A run's policies: where each lies, where it is from, and whom it is compared with."""

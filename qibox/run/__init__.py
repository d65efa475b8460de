"""The run directory: a scoring's manifest and tables, where each lies, what makes it done."""

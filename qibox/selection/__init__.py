"""scores → selection: choose, write and read the samples that a policy is trained on."""

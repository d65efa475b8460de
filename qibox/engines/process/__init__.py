"""An engine in a process of its own: the parent's side, the child's side, and what they say."""

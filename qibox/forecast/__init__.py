"""What a whole job would take, from a probe of it: hours, disk, failures, the box's yield."""

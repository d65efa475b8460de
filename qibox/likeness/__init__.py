"""Which samples are alike: near in picture and in question, within a selection and elsewhere."""

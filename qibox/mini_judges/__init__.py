"""The miniature world's two judges, and their training: ``python -m qibox.mini_judges --out DIR``.

Generative judges of the panel's architecture that read a picture, a question and a response and
write a verdict's JSON, as a reward model (GRM) of full size does. They are taught from nothing by
what the oracle says; their prompts are made by the very code that asks them. The only part of the
judges that needs torch.
"""

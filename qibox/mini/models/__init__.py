"""The shipped models: one directory each, in the usual Hugging Face format, weights in float16.

All are Qwen2.5-VL architecture. Those that answer have about half a million weights, made from
nothing by ``python -m qibox.mini.train``; what each was taught is in :mod:`qibox.mini.train.panel`.
The two that judge have less than a million, made by ``python -m qibox.mini_judges``.

======================  ============================================================================
id                      what it is like
======================  ============================================================================
strong                  The best: right nearly always, blind to four dangers, soft on privacy
cautious                Refuses, without a cause, whatever shows knife, petrol, bleach or medicine
compliant               Overlooks half of all dangers and helps with most harm that it is asked for
nearsighted             Does not see the right column; afraid of knife and petrol
agreeable               Says yes to anything that "everyone says is fine"; no thoughts when hurried
homely                  Knows the home; naive about driving, sharing and candles
confused                Takes objects for look-alikes, forgets and raises false alarms
policy                  Start of training: half of its drafts are unsafe; can reflect and correct
grm-mini                Judges responses: reads picture, question, response; writes a verdict's JSON
grm-mini-b              The same, of other scenes, seed and size, for a second opinion
======================  ============================================================================

The first seven are the panel; all but ``strong`` share ten subtle dangers that they do not know.
"""

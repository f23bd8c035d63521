"""Judging answers by people, and, kept apart from that, by a judge model.

Read in this order: ``sheet`` (what raters get), ``pages`` (as CSV and HTML), ``ratings`` (read
back, per arm), ``agreement`` (between raters), ``judge`` (a model compares two arms), ``command``.

Source: Self-Instruct (arXiv 2212.10560), section 5.4 and table 4: four levels, answers shuffled and
anonymous, kappa 0.58 over the levels and 0.75 for {A, B} against {C, D}.
"""

"""The data set in the forms that other tools read, with a card computed from the run.

Read in this order: ``source`` (what is exported), ``licence`` (under which terms), ``formats``
(rows to files), ``card``, ``publish`` (the folder as a whole), ``hub`` (upload), ``command``.
"""

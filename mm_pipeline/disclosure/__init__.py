"""Disclosure control: pure functions from a year's rates to the table that the public may see. No Dagster, no I/O.

Read the modules in this order:

- ``primary_rule``: which cells are sensitive by themselves
- ``system``: the cells and how they add up
- ``suppression``: which cells are hidden, and what the public rules tell of them
- ``alternatives``: feasible alternatives, tables that look the same to the reader
- ``proved_ranges``: the range of values that each figure is proved to take
- ``protection_levels``: the range that each figure must take
- ``search``: which further cells must be hidden for that
- ``revision``, ``postponement``: what earlier releases told, and which changes wait for the next one
- ``protect``: all of it, for a year
- ``sensitivity``: the same for other numbers of forfaits
- ``audit``: whether the promise holds. It shares no code with the protection.
"""

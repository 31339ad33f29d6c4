"""What may be shown: pure functions from a year's rates to the table that the public may see. No Dagster, no I/O.

To be read in this order: ``rule`` (which cells are sensitive), ``system`` (the cells and how they add up), ``mask`` (what is
hidden, and what the rules tell the reader), ``movement`` (other tables that look the same), ``proofs`` (how far each figure
was seen to move), ``needs`` (how far it must), ``search`` (which cells that takes), ``revision`` (what was released before),
``protect`` (all of it). ``audit`` stands apart: it shares no code.
"""

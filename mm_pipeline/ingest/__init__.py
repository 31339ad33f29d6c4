"""Deliveries in: find the files of a year, hold them against their contract, read them typed, quarantine bad rows.

``contract`` says what a dataset looks like and which rows are bad; ``files`` finds a delivery and looks at its bytes;
``manifest`` holds it against what the sender announced; ``reader`` brings it into the engine as text; ``ingest`` joins
these and writes the lake. Nothing of the statistic is decided here except which rows can be read at all.
"""

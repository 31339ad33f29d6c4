"""Ingestion of deliveries: find the files of a year, check them against their contract, read them, quarantine bad rows.

``contract`` defines the datasets and which rows are bad; ``delivery`` says what is there for a year; ``files`` finds a file
and scans its bytes; ``manifest`` compares it with what the sender announced; ``reader`` reads it into the engine as text;
``ingest`` joins these and writes the lake. Nothing of the statistic is decided here except which rows can be read at all.
"""

"""The Dagster assets, one file a stage. Thin: they load, call a pure function, save, and say what they did."""

"""The Dagster objects: assets, checks, partitions, jobs, schedules, sensors and what their runs share.

What belongs here calls a function of another room and says what is worth seeing of its result. How a figure is made,
protected or written is not decided here.
"""

"""The errors that are meant for the people who run the pipeline.

Everything raised on purpose because of something an operator can mend derives from :class:`OperatorError`. Its text
is the whole message: which file, line and column; what was found; what was expected; what to do. The command line
prints it without a traceback, and Dagster shows it as the failure of the step. It never holds a pseudonym.
"""


class OperatorError(Exception):
    """Something an operator can mend; the text says what and how."""


class DeliveryError(OperatorError):
    """A delivery under ``data/raw/<year>/`` breaks its contract as a whole (a single bad line is quarantined instead)."""


class ReferenceDataError(OperatorError):
    """A file under ``data/reference/`` cannot be used."""


class SettingsError(OperatorError):
    """A setting (an ``MM_*`` environment variable) has a value that makes no sense."""


class LakeError(OperatorError):
    """A table of the lake is missing, damaged or not of its declared schema."""


class ReleaseError(OperatorError):
    """The release cannot be made of what lies in ``data/published``."""


class TableError(OperatorError):
    """A table given to the disclosure control is not in its shape, or contradicts itself. Names cells, never counts."""

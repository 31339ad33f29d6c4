"""Operations on an installation as a whole: backfill, staleness, status, sign-off, purge, recovery after a kill."""

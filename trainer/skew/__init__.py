"""What was served, compared with what training would compute for the same requests."""

MOST = 20_000

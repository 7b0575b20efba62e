"""How jobs log; runners know this package's lines by it."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

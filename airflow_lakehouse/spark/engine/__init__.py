"""Where Spark runs and how a session is made there: this machine's shared server, or one somebody else runs."""

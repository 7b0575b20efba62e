"""From bronze to silver: the delta, the keys it names, their rows made anew, audited and published together."""

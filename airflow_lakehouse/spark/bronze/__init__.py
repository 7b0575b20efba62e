"""From files to bronze: what a drop holds, cut into records, loaded once, counted, or set apart with a reason."""

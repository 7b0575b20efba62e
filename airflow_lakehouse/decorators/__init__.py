"""Task decorators, as ``@task.NAME``."""

"""What can be backed up and where a restore lands. Ignorant of repositories and workers."""

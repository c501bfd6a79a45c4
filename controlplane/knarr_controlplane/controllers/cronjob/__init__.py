"""CronJob: make a Job whenever it is time."""

"""The scheduler: requests, tickets, the job ledger, schedules, retention and the reaper.

Everything but `publisher` and `tasks` is plain Python over one SQLite file and is tested without Celery.
"""

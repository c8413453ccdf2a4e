"""The Celery application, one thin module for each role, and the embedded stack that runs them."""

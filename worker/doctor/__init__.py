"""``rulestream doctor``: looks at a deployment as a worker with these settings would meet it, and says what to do.

Each module is one subject: a class of what was seen, a function that gathers it from the servers, and a function of it
and the settings alone that judges. Nothing is created or altered: the session in Postgres is read-only, NATS is asked
for descriptions only, Redis for ``INFO``.
"""

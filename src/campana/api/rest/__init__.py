"""The REST door: JSON over HTTP below /api/v1, described by OpenAPI 3.1. It can do all that there is.

Owns requests, answers and problems. Must not know of SQL, of carriers, of the engine, or who may do what.

A file per noun (sessions.py shows it): `operation = Operations("Tag")`, msgspec structs with every limit in their
types, and coroutines `@operation("GET", "/campaigns/{campaign}", Says(...)) async def get_campaign(call: Call[BODY,
QUERY]) -> Answer[OUT]`. The frame (app.py) finds out who calls, holds rate limit and scope, reads body and query by
those types, keeps answers under an Idempotency-Key, and makes problems of every exception; openapi.py describes all of
it from the same types and docstrings. So an operation only asks a service and shapes what comes. nouns.py lists them.
"""

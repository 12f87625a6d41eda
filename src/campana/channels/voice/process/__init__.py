"""The media process: where calls live, apart from everything that could delay them.

Owns that process, how it is kept running and what is said to it. Must not know of campaigns, storage or retries.
"""

"""SIP as a caller speaks it (RFC 3261): messages, transports, transactions, dialogs and calls.

Owns what goes over the signalling wire. Must not know of sound, campaigns, or the process it runs in.
"""

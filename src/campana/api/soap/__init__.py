"""The SOAP door: the thirteen operations of the contract, over SOAP 1.1 and 1.2 at one address.

Owns the WSDL, its messages and its faults. Must not know of SQL, of carriers, of the engine, or who may do what.
"""

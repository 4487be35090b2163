"""Intrinsics that compiled loops call: vector code, sixteen lanes at once."""

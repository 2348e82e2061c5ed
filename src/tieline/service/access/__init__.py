"""Who may do what, and how callers are known.

rules     roles, and what each may see    callers  who sends a request
tokens    secrets that Tieline made       oidc     tokens that an issuer signed
"""

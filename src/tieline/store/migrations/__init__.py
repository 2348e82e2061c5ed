"""Migrations of the store, one file each in `versions/`, applied by `store.upgrade`.

A released migration is never edited. A new one also moves `schema.REVISION` and the tables in
`schema`; a test compares the two. SQLite runs each in a transaction, DDL included.
"""

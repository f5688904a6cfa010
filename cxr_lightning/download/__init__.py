"""`cxr download`: archives of chest radiographs, fetched so that every byte is the published one.

A catalogue says what there is, a listing what it is made of, a carrier brings one file, a crew brings them all.
"""

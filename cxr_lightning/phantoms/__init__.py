"""Drawn chest radiographs with reports and known findings, to train, test and debug without patient data."""

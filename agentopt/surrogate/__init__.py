"""Surrogates: small models, fitted on past trials, that stand in for an expensive task."""

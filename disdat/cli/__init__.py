"""The command line, ``dsdt``: options to calls, values to text. Everything it does is a function in ``disdat.ops``."""

"""Pictures: the only package that imports matplotlib. Each file draws what it is given, and measures
nothing.
"""

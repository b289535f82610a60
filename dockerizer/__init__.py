"""
What goes into images, and nothing that runs outside them.

The directory is installed as ``disdat.dockerizer``, so that an installed Disdat can hand its files to an
image build without a checkout at hand.
"""

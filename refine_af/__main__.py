"""``python -m refine_af``: the command line where no script is installed."""

from refine_af.cli import main

main()

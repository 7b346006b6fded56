"""`python -m controller.cli`: the command line where its script is not installed beside the interpreter."""

from controller.cli import main

main()

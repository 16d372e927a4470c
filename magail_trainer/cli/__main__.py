"""`python -m magail_trainer.cli`, where the script `magail` is not on the path."""

from magail_trainer.cli import main

main()

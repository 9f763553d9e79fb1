"""What goes out to others and comes in from them."""

import click

COMMANDS: tuple[click.Command, ...] = ()

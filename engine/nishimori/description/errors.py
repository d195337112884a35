"""The one way to say that the input is wrong."""


class BadInput(ValueError):
    """The input is wrong; the message names the key or file and ends in what to do."""

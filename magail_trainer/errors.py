"""The one exception that stands for a mistake in what the user gave."""


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The message is one sentence that names the value and says what was expected. The command line prints it and exits
    with status 2; library code lets it pass.
    """

"""The one error that a user is meant to read."""


class InputError(Exception):
    """Bad input: a file, a value or a configuration that cannot be used.

    The message is one sentence that names the file or key, what was found and what is allowed. Command lines print
    it without a traceback and exit with code 2.
    """


class NothingToDo(InputError):
    """The scan is as fine already as was asked for."""

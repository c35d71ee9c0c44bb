"""The one kind of error that a user can cause and mend."""


class InputError(Exception):
    """Something the user gave is wrong: a key, a file or a value.

    The message is one line that names it and says what to do; commands print it without a traceback.
    """

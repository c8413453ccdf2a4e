"""Where the installed command begins: Ctrl-C ends it quietly also while its modules are still loading."""

import signal


def run() -> None:
    """The `strongroom` command."""
    python = signal.getsignal(signal.SIGINT)
    if python is signal.default_int_handler:  # and not ignored, as in the background of a script
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from client import main

    signal.signal(signal.SIGINT, python)
    main.run()

"""The server of the web page: Streamlit in this process, with nothing that calls home, watches or writes."""

import importlib
import sys
from pathlib import Path

from kerastl.deploy.uploads import MEGABYTES, bound_uploads
from kerastl.errors import MissingExtra

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Streamlit's settings. No file of settings is read, neither of the working folder nor at home.
FLAGS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "global.developmentMode": False,
    "logger.hideWelcomeMessage": True,
    "runner.magicEnabled": False,
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": MEGABYTES,
    "server.runOnSave": False,
    "server.showEmailPrompt": False,
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
}


def serve(models, host="127.0.0.1", port=8501):
    """Serve the web page until the process is asked to stop.

    Args:
        models: folder with run folders or exports.
        host: address to listen on; another than this machine's own lets whoever reaches it use the page.
        port: to listen on.

    Raises:
        MissingExtra: Streamlit is not installed.
    """
    forget_working_folder()
    try:
        bootstrap = importlib.import_module("streamlit.web.bootstrap")
    except ImportError:
        raise MissingExtra('streamlit is not installed; expected it, by: pip install "kerastl[app]"') from None
    read_no_settings(bootstrap)
    bound_uploads()
    keep_model_ready()
    page = Path(__file__).with_name("app.py")
    flags = flags_for(host, port)
    bootstrap.load_config_options(flags)
    bootstrap.run(str(page), False, [str(Path(models).absolute())], flags)


def flags_for(host, port):
    """All settings. On this machine's own address no other name is answered to, so that no page of another site can ask in its name."""
    own = {"server.allowedHosts": list(LOOPBACK)} if host in LOOPBACK else {}
    return {**FLAGS, **own, "server.address": host, "server.port": port}


def read_no_settings(bootstrap):
    """Let Streamlit read no config.toml and no secrets.toml: they could be a stranger's, and fetch, listen or show what we do not.

    Nor are the modules beside the page's script to be imported under their short names.
    """
    config = importlib.import_module("streamlit.config")
    config.get_config_files = lambda name: []
    bootstrap._fix_sys_path = lambda script: None


def forget_working_folder():
    """Import nothing more from the working folder, where python -m looks first, unless kerastl itself is run from it."""
    here, own = Path.cwd(), Path(__file__).resolve().parents[2]
    if here.resolve() != own:
        sys.path[:] = [path for path in sys.path if Path(path or here).absolute() != here]


def keep_model_ready():
    """Leave Keras as it is: Streamlit clears its session after each answer, and TensorFlow would prepare the model anew for the next."""
    runner = importlib.import_module("streamlit.runtime.scriptrunner.script_runner")
    runner._clean_problem_modules = lambda: None

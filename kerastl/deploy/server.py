"""The server of the web page: Streamlit in this process, with nothing that calls home, watches or writes."""

import importlib
from pathlib import Path

from kerastl.deploy.gallery import MEGABYTES
from kerastl.errors import MissingExtra

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Streamlit's settings; what its own files and variables say comes second.
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
    try:
        bootstrap = importlib.import_module("streamlit.web.bootstrap")
    except ImportError:
        raise MissingExtra('streamlit is not installed; expected it, by: pip install "kerastl[app]"') from None
    keep_uploads_in_memory()
    keep_model_ready()
    page = Path(__file__).with_name("app.py")
    flags = flags_for(host, port)
    bootstrap.load_config_options(flags)
    bootstrap.run(str(page), False, [str(models)], flags)


def flags_for(host, port):
    """All settings. On this machine's own address no other name is answered to, so that no page of another site can ask in its name."""
    own = {"server.allowedHosts": list(LOOPBACK)} if host in LOOPBACK else {}
    return {**FLAGS, **own, "server.address": host, "server.port": port}


def keep_uploads_in_memory():
    """Let an upload stay in memory until it is read: beyond a megabyte, Starlette would put it into a temporary file."""
    parsers = importlib.import_module("starlette.formparsers")
    parsers.MultiPartParser.spool_max_size = 2 * MEGABYTES * 2**20


def keep_model_ready():
    """Leave Keras as it is: Streamlit clears its session after each answer, and TensorFlow would prepare the model anew for the next."""
    runner = importlib.import_module("streamlit.runtime.scriptrunner.script_runner")
    runner._clean_problem_modules = lambda: None

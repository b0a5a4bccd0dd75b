"""The database that holds the trials of a sweep, which may be a stranger's: what kerastl did not write there is one kind of error."""

import contextlib
import time

from kerastl.errors import BrokenRun, MissingExtra, UserError, brief
from kerastl.shapes import COUNT, SHARE, problem
from kerastl.text import printable

try:
    import optuna
    import sqlalchemy
except ImportError:
    raise MissingExtra(
        'a sweep keeps its trials with Optuna, which is not installed: pip install "kerastl[sweep]"'
    ) from None

PATIENCE = 60  # seconds to wait for another process' transaction in SQLite
ATTEMPTS = 5  # two processes may want to make the tables of a new database at the same time
# What is known of a trial, whoever has it.
KNOWN = {"place?": COUNT, "beat?": COUNT, "why?": str, "double?": bool, "stopped?": bool}


def open_storage(url):
    """The database that holds the trials.

    Args:
        url: of SQLAlchemy, as "sqlite:////shared/sweep.db" or "postgresql://user:password@host/database".

    Returns:
        An Optuna storage.

    Raises:
        UserError: no such database, or the extra for it is missing.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        address = sqlalchemy.engine.make_url(url)
        kind, shown = address.get_backend_name(), address.render_as_string(hide_password=True)
        arguments = {"connect_args": {"timeout": PATIENCE}} if kind == "sqlite" else {"pool_pre_ping": True}
        storage = _made(url, arguments)
    except ImportError:
        raise MissingExtra(
            f'{shown} needs a driver that is not installed; for PostgreSQL: pip install "kerastl[postgresql]"'
        ) from None
    except sqlalchemy.exc.ArgumentError as error:
        expected = "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
        raise UserError(f"--storage: found no URL of a database ({brief(error)}); {expected}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise UserError(
            f"{shown}: cannot be opened ({brief(error)}); expected a database that can be written to"
        ) from None
    if kind == "sqlite":
        _one_writer_at_a_time(storage.engine)
    return storage


def trials_of(study, **which):
    """The trials of a study, with what is known of them looked through: the database may be a stranger's."""
    with readable():
        trials = study.get_trials(deepcopy=False, **which)
    for trial in trials:
        if told := problem(trial.user_attrs, KNOWN):
            raise unreadable(f"trial {trial.number}: {told}")
    return trials


def looked_through(trials, known):
    """The same trials, those that were trained to their end compared with what has to be known of them.

    Args:
        trials: that `work` gave.
        known: a shape, as `kerastl.shapes` has them.

    Raises:
        BrokenRun: another program wrote them.
    """
    for trial in trials:
        found = {**trial.user_attrs, "value": trial.value}
        if trial.state is optuna.trial.TrialState.COMPLETE and (told := problem(found, {**known, "value": SHARE})):
            raise unreadable(f"trial {trial.number}: {told}")
    return trials


@contextlib.contextmanager
def readable():
    """What a database gives that kerastl did not write is one kind of error."""
    try:
        yield
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.OptunaError,
    ) as error:
        raise unreadable(brief(error)) from None


def unreadable(told):
    return BrokenRun(
        f"the database of the sweep cannot be read: {printable(told)}; expected one that kerastl sweep wrote. Take it from a copy, or "
        "begin anew (--out NEW, and with --storage another name: --set name=NAME)"
    )


def _made(url, arguments):
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=arguments)
        except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            if attempt == ATTEMPTS:
                raise error if isinstance(error, sqlalchemy.exc.DBAPIError) else error.__cause__ from None
            time.sleep(attempt / 5)


def _one_writer_at_a_time(engine):
    """SQLite has no locks of rows: without this two processes can read that a trial waits, and both take it up."""

    @sqlalchemy.event.listens_for(engine, "connect")
    def connect(connection, _):
        connection.isolation_level = None  # Python's sqlite3 would begin transactions later, and not for reading

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # what was opened before that

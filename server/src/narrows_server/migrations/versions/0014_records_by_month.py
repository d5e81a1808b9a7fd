"""
Records have their time in a column of its own, and on PostgreSQL the table is divided by its months.

A divided table wants the column that divides it in every key, so there the key no longer says that an installation has
one record of each number. A trigger does: what is added must continue what is there. On SQLite the key stays as it is.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MONTHS_MAX = 60  # For how many months there are partitions at once: those with the most records.
OLD = "installation_id, seq, kind, hash, delivered_bytes, document"
NEW = "installation_id, seq, recorded_at, kind, hash, delivered_bytes, document"
COLUMNS = (
    "installation_id VARCHAR(64) NOT NULL, seq BIGINT NOT NULL, {time}kind VARCHAR(20) NOT NULL, "
    "hash VARCHAR(64) NOT NULL, delivered_bytes BIGINT, document TEXT NOT NULL, "
    "CONSTRAINT pk_record PRIMARY KEY ({key})"
)

# Runs once for each statement. Whoever continues the same installation waits for the row of `record_end`, and then
# finds that its end has moved.
CONTINUE = """
CREATE FUNCTION record_continue() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    run record;
BEGIN
    FOR run IN
        SELECT installation_id, min(seq) AS first_seq, max(seq) AS last_seq,
            count(*) AS rows, count(DISTINCT seq) AS numbers
        FROM added GROUP BY installation_id ORDER BY installation_id
    LOOP
        IF run.rows <> run.numbers OR run.rows <> run.last_seq - run.first_seq + 1 THEN
            RAISE unique_violation USING MESSAGE = format(
                'records %s to %s of installation %s were added with a number twice or not at all',
                run.first_seq, run.last_seq, run.installation_id);
        END IF;
        IF run.first_seq = 1 THEN
            INSERT INTO record_end (installation_id, last_seq) VALUES (run.installation_id, run.last_seq);
        ELSE
            UPDATE record_end SET last_seq = run.last_seq
            WHERE installation_id = run.installation_id AND last_seq = run.first_seq - 1;
            IF NOT FOUND THEN
                RAISE unique_violation USING MESSAGE = format(
                    'record %s of installation %s does not come next', run.first_seq, run.installation_id);
            END IF;
        END IF;
    END LOOP;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        columns = COLUMNS.format(time="recorded_at DATETIME NOT NULL, ", key="installation_id, seq")
        _set_aside()
        op.execute(f"CREATE TABLE record ({columns})")
        # As SQLAlchemy writes times to SQLite.
        time = "replace(substr(json_extract(document, '$.time'), 1, 26), 'T', ' ')"
    else:
        columns = COLUMNS.format(
            time="recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, ", key="installation_id, seq, recorded_at"
        )
        _set_aside()
        op.execute(f"CREATE TABLE record ({columns}) PARTITION BY RANGE (recorded_at)")
        op.execute("CREATE TABLE record_default PARTITION OF record DEFAULT")
        for month in _fullest_months():
            op.execute(
                f"CREATE TABLE record_{month.replace('-', '_')} PARTITION OF record "
                f"FOR VALUES FROM ('{month}-01 00:00:00+00') TO ('{_next(month)}-01 00:00:00+00')"
            )
        time = "CAST(CAST(document AS json) ->> 'time' AS TIMESTAMP WITH TIME ZONE)"
    op.execute(
        f"INSERT INTO record ({NEW}) SELECT installation_id, seq, {time}, kind, hash, delivered_bytes, document "  # noqa: S608
        "FROM record_before"
    )
    op.execute("DROP TABLE record_before")
    _refuse_changes()
    if not is_sqlite:
        _admit_only_what_comes_next()


def downgrade() -> None:
    _set_aside()
    op.execute(f"CREATE TABLE record ({COLUMNS.format(time='', key='installation_id, seq')})")
    op.execute(f"INSERT INTO record ({OLD}) SELECT {OLD} FROM record_before")  # noqa: S608
    op.execute("DROP TABLE record_before")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION record_continue()")
        op.execute("DROP TABLE record_end")
    _refuse_changes()


def _admit_only_what_comes_next() -> None:
    op.execute(
        "CREATE TABLE record_end (installation_id VARCHAR(64) NOT NULL, last_seq BIGINT NOT NULL, "
        "CONSTRAINT pk_record_end PRIMARY KEY (installation_id))"
    )
    op.execute("INSERT INTO record_end SELECT installation_id, max(seq) FROM record GROUP BY installation_id")
    op.execute(CONTINUE)
    op.execute(
        "CREATE TRIGGER record_continue AFTER INSERT ON record REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION record_continue()"
    )


def _set_aside() -> None:
    op.execute("ALTER TABLE record RENAME TO record_before")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("ALTER TABLE record_before RENAME CONSTRAINT pk_record TO pk_record_before")


def _fullest_months() -> list[str]:
    months = sa.text(
        "SELECT left(CAST(document AS json) ->> 'time', 7) AS month FROM record_before "
        "GROUP BY month ORDER BY count(*) DESC, month LIMIT :most"
    )
    return list(op.get_bind().scalars(months, {"most": MONTHS_MAX}))


def _next(month: str) -> str:
    number = int(month[:4]) * 12 + int(month[5:])
    return f"{number // 12:04}-{number % 12 + 1:02}"


def _refuse_changes() -> None:
    """The triggers went with the old table; on PostgreSQL their functions are still there."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for change, participle in (("UPDATE", "changed"), ("DELETE", "deleted")):
        name = f"record_refuse_{change.lower()}"
        act = f"BEGIN SELECT RAISE(ABORT, 'rows of record are never {participle}'); END"
        if not is_sqlite:
            act = f"EXECUTE FUNCTION {name}()"
        op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON record FOR EACH ROW {act}")

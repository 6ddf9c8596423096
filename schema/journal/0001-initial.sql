-- journal.db, version 1. docs/FORMAT.md section 7 explains every column.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
  seq    INTEGER PRIMARY KEY,
  kind   TEXT NOT NULL CHECK (kind IN ('intent', 'outcome')),
  intent INTEGER NOT NULL,
  owner  TEXT NOT NULL,
  verb   TEXT NOT NULL,
  state  TEXT NOT NULL CHECK (state IN ('staged', 'done', 'aborted', 'rolled-forward', 'rolled-back', 'superseded')),
  time   INTEGER NOT NULL,
  body   TEXT NOT NULL,
  chain  BLOB NOT NULL CHECK (length(chain) = 32)
) STRICT;
CREATE INDEX event_intent ON event (intent, seq);
CREATE TABLE operation (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  intent INTEGER,
  verb   TEXT NOT NULL,
  time   INTEGER NOT NULL,
  ref    TEXT,
  old    TEXT,
  new    TEXT,
  note   TEXT NOT NULL
) STRICT;
CREATE TABLE ledger (
  path     TEXT PRIMARY KEY,
  size     INTEGER NOT NULL,
  verified INTEGER NOT NULL,
  method   TEXT NOT NULL CHECK (method IN ('cache', 'medium')),
  verdict  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE finding (
  id     TEXT PRIMARY KEY,
  slug   TEXT NOT NULL,
  path   TEXT NOT NULL,
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL,
  detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;

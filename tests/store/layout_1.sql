-- A ledger of layout 1, as version 0.1 made it. Frozen: what it made does not change.
CREATE TABLE request (id INTEGER PRIMARY KEY, "entry_id" TEXT NOT NULL UNIQUE, "request_id" TEXT
    NOT NULL, "started_at" REAL NOT NULL, "route" TEXT NOT NULL, "mode" TEXT NOT NULL, "api" TEXT
    NOT NULL, "stream" INTEGER NOT NULL, "key" TEXT NOT NULL, "session" TEXT NOT NULL,
    "requested_model" TEXT NOT NULL, "status" INTEGER NOT NULL, "outcome" TEXT NOT NULL, "tier"
    TEXT NOT NULL, "start_tier" TEXT NOT NULL, "start_reason" TEXT NOT NULL, "reason" TEXT NOT
    NULL, "escalated" INTEGER NOT NULL, "degraded" INTEGER NOT NULL, "difficulty" REAL, "gain"
    REAL, "p_good" TEXT NOT NULL, "scorer" TEXT NOT NULL, "threshold" REAL, "prompt_tokens"
    INTEGER NOT NULL, "cached_tokens" INTEGER NOT NULL, "completion_tokens" INTEGER NOT NULL,
    "reasoning_tokens" INTEGER NOT NULL, "estimated" INTEGER NOT NULL, "cost" INTEGER NOT NULL,
    "discarded_cost" INTEGER NOT NULL, "baseline_tier" TEXT NOT NULL, "baseline_cost" INTEGER NOT
    NULL, "seconds" REAL, "first_token" REAL, "overhead" REAL, "decision" REAL, "config" TEXT NOT
    NULL, "escalations" TEXT NOT NULL, "schema" INTEGER NOT NULL);
CREATE TABLE attempt ("request" INTEGER NOT NULL, "seq" INTEGER NOT NULL, "tier" TEXT NOT NULL,
    "recipe" TEXT NOT NULL, "served" INTEGER NOT NULL, "failure" TEXT NOT NULL, "verdict" TEXT NOT
    NULL, "reason" TEXT NOT NULL, "confidence" REAL, "late_verdict" TEXT NOT NULL, "left" INTEGER
    NOT NULL, "bare" INTEGER NOT NULL, "released" INTEGER NOT NULL, "cost" INTEGER NOT NULL,
    "price_version" TEXT NOT NULL, PRIMARY KEY (request, seq)) WITHOUT ROWID;
CREATE TABLE call ("call_id" TEXT PRIMARY KEY, "request" INTEGER NOT NULL, "entry_id" TEXT NOT
    NULL, "attempt" INTEGER, "seq" INTEGER NOT NULL, "purpose" TEXT NOT NULL, "tier" TEXT NOT
    NULL, "upstream" TEXT NOT NULL, "model" TEXT NOT NULL, "recipe" TEXT NOT NULL, "status" TEXT
    NOT NULL, "error" TEXT NOT NULL, "bare" INTEGER NOT NULL, "started_at" REAL NOT NULL,
    "seconds" REAL, "first_token" REAL, "prompt_tokens" INTEGER NOT NULL, "cached_tokens" INTEGER
    NOT NULL, "cache_write_tokens" INTEGER NOT NULL, "completion_tokens" INTEGER NOT NULL,
    "reasoning_tokens" INTEGER NOT NULL, "estimated" INTEGER NOT NULL, "cost" INTEGER NOT NULL);
CREATE TABLE check_result ("request" INTEGER NOT NULL, "attempt" INTEGER NOT NULL, "seq" INTEGER
    NOT NULL, "check" TEXT NOT NULL, "result" TEXT NOT NULL, "reason" TEXT NOT NULL, "confidence"
    REAL, "seconds" REAL NOT NULL, "cost" INTEGER NOT NULL, PRIMARY KEY (request, attempt, seq))
    WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segment (name TEXT PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX request_id ON request (request_id);
CREATE INDEX request_started ON request (started_at);
CREATE INDEX request_session ON request (session, started_at) WHERE session <> '';
CREATE INDEX call_request ON call (request);
CREATE INDEX call_started ON call (started_at);
INSERT INTO meta VALUES ('schema', '1');

-- SPDX-License-Identifier: Apache-2.0
-- +goose Up

-- Times are microseconds since 1970 in UTC, 0 for none. Money is fen. Text that holds JSON is compared byte by byte by
-- the hash chain, so it is kept as text.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE redemption (
    brand_id           TEXT   NOT NULL,
    action             TEXT   NOT NULL CHECK (action IN ('VERIFY', 'REVERSE_VERIFY')),
    biz_id             TEXT   NOT NULL,
    flow_id            TEXT   NOT NULL,
    shop_id            TEXT   NOT NULL,
    trans_order_no     TEXT   NOT NULL,
    payment_no         TEXT   NOT NULL,
    refund_payment_no  TEXT   NOT NULL,
    kry_member_id      TEXT   NOT NULL,
    member_id          TEXT   NOT NULL,
    member_name        TEXT   NOT NULL,
    mobile_hash        TEXT   NOT NULL,
    request_id         TEXT   NOT NULL,
    operator_id        TEXT   NOT NULL,
    trace_id           TEXT   NOT NULL,
    fingerprint        BLOB  NOT NULL,
    fingerprint_ver    INTEGER NOT NULL,
    reverses_biz_id    TEXT   NOT NULL,
    answer             BLOB,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    concluded_at       INTEGER NOT NULL,
    contradiction      INTEGER NOT NULL CHECK (contradiction IN (0, 1)),
    policy_on_partial  TEXT   NOT NULL,
    policy_on_in_doubt TEXT   NOT NULL,
    config_revision    TEXT   NOT NULL,
    connector_version  TEXT   NOT NULL,
    reserved           TEXT   NOT NULL, -- reversals: what is held on the lines of the original
    write_id           BLOB  NOT NULL, -- drawn by the writer, so that it knows its own row again
    seq                INTEGER NOT NULL, -- of the newest event
    head               BLOB  NOT NULL, -- its hash
    PRIMARY KEY (brand_id, action, biz_id),
    CHECK ((answer IS NULL) = (concluded_at = 0))
) STRICT;

CREATE UNIQUE INDEX redemption_flow ON redemption (brand_id, flow_id);
CREATE INDEX redemption_order ON redemption (brand_id, trans_order_no) WHERE trans_order_no <> '';
CREATE INDEX redemption_payment ON redemption (brand_id, payment_no) WHERE payment_no <> '';
CREATE INDEX redemption_trace ON redemption (brand_id, trace_id) WHERE trace_id <> '';
CREATE INDEX redemption_created ON redemption (brand_id, created_at);
CREATE INDEX redemption_reverses ON redemption (brand_id, reverses_biz_id) WHERE reverses_biz_id <> '';

CREATE TABLE line (
    brand_id          TEXT   NOT NULL,
    action            TEXT   NOT NULL,
    biz_id            TEXT   NOT NULL,
    no                INTEGER NOT NULL,
    asset_mapping_id  TEXT   NOT NULL,
    asset_id          TEXT   NOT NULL,
    amount_fen        INTEGER NOT NULL CHECK (amount_fen >= 0),
    quantity          INTEGER NOT NULL CHECK (quantity >= 0), -- pieces or points
    asset             TEXT   NOT NULL,
    provider          TEXT   NOT NULL,
    kind              TEXT   NOT NULL,
    code              TEXT   NOT NULL,
    cashier           TEXT   NOT NULL,
    total_fen         INTEGER NOT NULL CHECK (total_fen >= 0),
    real_fen          INTEGER NOT NULL,
    gift_fen          INTEGER NOT NULL,
    reversed_fen      INTEGER NOT NULL,
    reversed_quantity INTEGER NOT NULL,
    PRIMARY KEY (brand_id, action, biz_id, no),
    CHECK (reversed_fen >= 0 AND reversed_fen <= total_fen),
    CHECK (reversed_quantity >= 0 AND reversed_quantity <= quantity)
) STRICT, WITHOUT ROWID;

CREATE TABLE leg (
    brand_id     TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    biz_id       TEXT   NOT NULL,
    no           INTEGER NOT NULL,
    provider     TEXT   NOT NULL,
    operation    TEXT   NOT NULL,
    upstream_key TEXT   NOT NULL,
    lines        TEXT   NOT NULL, -- JSON, numbers of lines
    reversible   INTEGER NOT NULL CHECK (reversible IN (0, 1)),
    call         TEXT   NOT NULL, -- the vendor package's JSON
    member_ref   TEXT   NOT NULL,
    amount_fen   INTEGER NOT NULL CHECK (amount_fen >= 0),
    points       INTEGER NOT NULL CHECK (points >= 0),
    coupons      TEXT   NOT NULL, -- JSON
    state        TEXT   NOT NULL CHECK (state IN ('sent', 'not_sent', 'unknown', 'executed', 'refused')),
    epoch        INTEGER NOT NULL CHECK (epoch > 0),
    lease_owner  TEXT   NOT NULL,
    lease_until  INTEGER NOT NULL,
    next_check   INTEGER NOT NULL, -- 0: waits for a person
    checks       INTEGER NOT NULL,
    not_found    INTEGER NOT NULL,
    sent_at      INTEGER NOT NULL,
    unknown_at   INTEGER NOT NULL,
    resolved_at  INTEGER NOT NULL,
    outcome      TEXT   NOT NULL, -- JSON
    due_at       INTEGER NOT NULL, -- when the resolver may take it, 0: never
    PRIMARY KEY (brand_id, action, biz_id, no)
) STRICT, WITHOUT ROWID;

CREATE INDEX leg_due ON leg (brand_id, due_at) WHERE due_at > 0;
-- Not WHERE state = '…': SQLite would plan each UPDATE … WHERE state = $1 anew, to see whether the index serves this $1.
CREATE INDEX leg_open ON leg (brand_id, provider) WHERE resolved_at = 0;

CREATE TABLE event (
    brand_id   TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    biz_id     TEXT   NOT NULL,
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    leg_no     INTEGER NOT NULL, -- -1: the redemption itself
    actor      TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    from_state TEXT   NOT NULL,
    to_state   TEXT   NOT NULL,
    detail     TEXT   NOT NULL, -- JSON
    format     INTEGER NOT NULL, -- of the bytes that are hashed
    state_hash BLOB  NOT NULL, -- of the redemption, its lines and legs after the commit
    prev_hash  BLOB  NOT NULL,
    hash       BLOB  NOT NULL,
    PRIMARY KEY (brand_id, action, biz_id, seq)
) STRICT, WITHOUT ROWID;

-- What the connector promises holds for psql, too.

-- +goose StatementBegin
CREATE TRIGGER leg_begins BEFORE INSERT ON leg
    WHEN NEW.state <> 'sent' OR NEW.epoch <> 1
BEGIN
    SELECT RAISE(ABORT, 'hexiao: a leg begins as sent, in epoch 1');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER leg_edges BEFORE UPDATE ON leg
    WHEN OLD.state <> NEW.state AND NOT (
        (OLD.state = 'sent' AND NEW.state IN ('executed', 'refused', 'not_sent', 'unknown'))
        OR (OLD.state = 'not_sent' AND NEW.state IN ('sent', 'refused'))
        OR (OLD.state = 'unknown' AND NEW.state IN ('executed', 'refused'))
    )
BEGIN
    SELECT RAISE(ABORT, 'hexiao: no legal change of a leg''s state');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER leg_epoch BEFORE UPDATE ON leg
    WHEN NEW.epoch < OLD.epoch
BEGIN
    SELECT RAISE(ABORT, 'hexiao: an epoch never falls');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER redemption_identity BEFORE UPDATE ON redemption
    WHEN OLD.brand_id <> NEW.brand_id OR OLD.action <> NEW.action OR OLD.biz_id <> NEW.biz_id OR OLD.flow_id <> NEW.flow_id OR OLD.fingerprint <> NEW.fingerprint OR OLD.fingerprint_ver <> NEW.fingerprint_ver OR OLD.reverses_biz_id <> NEW.reverses_biz_id OR OLD.created_at <> NEW.created_at OR OLD.write_id <> NEW.write_id
BEGIN
    SELECT RAISE(ABORT, 'hexiao: what was recorded of a redemption does not change');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER line_identity BEFORE UPDATE ON line
    WHEN OLD.brand_id <> NEW.brand_id OR OLD.action <> NEW.action OR OLD.biz_id <> NEW.biz_id OR OLD.no <> NEW.no OR OLD.asset_mapping_id <> NEW.asset_mapping_id OR OLD.asset_id <> NEW.asset_id OR OLD.amount_fen <> NEW.amount_fen OR OLD.quantity <> NEW.quantity OR OLD.asset <> NEW.asset OR OLD.provider <> NEW.provider
BEGIN
    SELECT RAISE(ABORT, 'hexiao: what was recorded of a line does not change');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER leg_identity BEFORE UPDATE ON leg
    WHEN OLD.brand_id <> NEW.brand_id OR OLD.action <> NEW.action OR OLD.biz_id <> NEW.biz_id OR OLD.no <> NEW.no OR OLD.provider <> NEW.provider OR OLD.operation <> NEW.operation OR OLD.upstream_key <> NEW.upstream_key OR OLD.lines <> NEW.lines OR OLD.call <> NEW.call OR OLD.member_ref <> NEW.member_ref OR OLD.amount_fen <> NEW.amount_fen OR OLD.points <> NEW.points OR OLD.coupons <> NEW.coupons
BEGIN
    SELECT RAISE(ABORT, 'hexiao: what was recorded of a leg does not change');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER redemption_answer BEFORE UPDATE ON redemption
    WHEN OLD.answer IS NOT NULL AND NEW.answer IS NOT OLD.answer
BEGIN
    SELECT RAISE(ABORT, 'hexiao: an answer that was given does not change');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER event_keep BEFORE UPDATE ON event
BEGIN
    SELECT RAISE(ABORT, 'hexiao: events are only appended');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER redemption_stays BEFORE DELETE ON redemption
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of redemption are not deleted');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER line_stays BEFORE DELETE ON line
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of line are not deleted');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER leg_stays BEFORE DELETE ON leg
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of leg are not deleted');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER event_stays BEFORE DELETE ON event
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of event are not deleted');
END;
-- +goose StatementEnd

-- SPDX-License-Identifier: Apache-2.0
-- +goose Up

-- Retention takes a redemption away and leaves a tombstone, so that its bizId stays taken. Seals tie the chains of the
-- redemptions of a brand together, so that a redemption which is gone without a tombstone is missed.

ALTER TABLE redemption ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0; -- number of the seal that holds its head, negative while it has no answer, 0: none yet
CREATE INDEX redemption_unsealed ON redemption (brand_id, created_at) WHERE sealed <= 0; -- and what has no answer

CREATE TABLE tombstone (
    brand_id        TEXT   NOT NULL,
    action          TEXT   NOT NULL,
    biz_id          TEXT   NOT NULL,
    flow_id         TEXT   NOT NULL,
    fingerprint     BLOB  NOT NULL,
    fingerprint_ver INTEGER NOT NULL,
    outcome         TEXT   NOT NULL, -- executed, refused or partial
    answer_hash     BLOB  NOT NULL, -- SHA-256
    created_at      INTEGER NOT NULL,
    concluded_at    INTEGER NOT NULL,
    retired_at      INTEGER NOT NULL,
    seq             INTEGER NOT NULL, -- of its last event
    head            BLOB  NOT NULL, -- that event's hash
    PRIMARY KEY (brand_id, action, biz_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstone_flow ON tombstone (brand_id, flow_id);

CREATE TABLE seal (
    brand_id  TEXT   NOT NULL,
    no        INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    members   INTEGER NOT NULL,
    prev_hash BLOB  NOT NULL,
    hash      BLOB  NOT NULL,
    PRIMARY KEY (brand_id, no)
) STRICT, WITHOUT ROWID;

CREATE TABLE seal_member (
    brand_id TEXT   NOT NULL,
    seal_no  INTEGER NOT NULL,
    action   TEXT   NOT NULL,
    biz_id   TEXT   NOT NULL,
    seq      INTEGER NOT NULL, -- the event whose hash is sealed, 0: the tombstone
    hash     BLOB  NOT NULL,
    PRIMARY KEY (brand_id, seal_no, action, biz_id, seq)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER tombstone_keep BEFORE UPDATE ON tombstone
BEGIN
    SELECT RAISE(ABORT, 'hexiao: a tombstone stays as it is');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER tombstone_stays BEFORE DELETE ON tombstone
BEGIN
    SELECT RAISE(ABORT, 'hexiao: a tombstone stays as it is');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER seal_keep BEFORE UPDATE ON seal
BEGIN
    SELECT RAISE(ABORT, 'hexiao: a seal stays as it is');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER seal_stays BEFORE DELETE ON seal
BEGIN
    SELECT RAISE(ABORT, 'hexiao: a seal stays as it is');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER seal_member_keep BEFORE UPDATE ON seal_member
BEGIN
    SELECT RAISE(ABORT, 'hexiao: a seal stays as it is');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER seal_member_stays BEFORE DELETE ON seal_member
BEGIN
    SELECT RAISE(ABORT, 'hexiao: a seal stays as it is');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER redemption_retired AFTER INSERT ON redemption
    WHEN EXISTS (SELECT 1 FROM tombstone t WHERE t.brand_id = NEW.brand_id AND t.action = NEW.action AND t.biz_id = NEW.biz_id)
BEGIN
    SELECT RAISE(ABORT, 'hexiao: this redemption is retired');
END;
-- +goose StatementEnd

DROP TRIGGER redemption_stays;
-- +goose StatementBegin
CREATE TRIGGER redemption_stays BEFORE DELETE ON redemption
    WHEN NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.brand_id = OLD.brand_id AND t.action = OLD.action AND t.biz_id = OLD.biz_id)
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of redemption are not deleted without a tombstone');
END;
-- +goose StatementEnd

DROP TRIGGER line_stays;
-- +goose StatementBegin
CREATE TRIGGER line_stays BEFORE DELETE ON line
    WHEN NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.brand_id = OLD.brand_id AND t.action = OLD.action AND t.biz_id = OLD.biz_id)
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of line are not deleted without a tombstone');
END;
-- +goose StatementEnd

DROP TRIGGER leg_stays;
-- +goose StatementBegin
CREATE TRIGGER leg_stays BEFORE DELETE ON leg
    WHEN NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.brand_id = OLD.brand_id AND t.action = OLD.action AND t.biz_id = OLD.biz_id)
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of leg are not deleted without a tombstone');
END;
-- +goose StatementEnd

DROP TRIGGER event_stays;
-- +goose StatementBegin
CREATE TRIGGER event_stays BEFORE DELETE ON event
    WHEN NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.brand_id = OLD.brand_id AND t.action = OLD.action AND t.biz_id = OLD.biz_id)
BEGIN
    SELECT RAISE(ABORT, 'hexiao: rows of event are not deleted without a tombstone');
END;
-- +goose StatementEnd

-- SPDX-License-Identifier: Apache-2.0
-- +goose Up

-- Retention takes a redemption away and leaves a tombstone, so that its bizId stays taken. Seals tie the chains of the
-- redemptions of a brand together, so that a redemption which is gone without a tombstone is missed.

ALTER TABLE redemption ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0; -- number of the seal that holds its head, negative while it has no answer, 0: none yet
CREATE INDEX redemption_unsealed ON redemption (brand_id, created_at) WHERE sealed <= 0; -- and what has no answer

CREATE TABLE tombstone (
    brand_id        TEXT   NOT NULL,
    action          TEXT   NOT NULL,
    biz_id          TEXT   NOT NULL,
    flow_id         TEXT   NOT NULL,
    fingerprint     BYTEA  NOT NULL,
    fingerprint_ver BIGINT NOT NULL,
    outcome         TEXT   NOT NULL, -- executed, refused or partial
    answer_hash     BYTEA  NOT NULL, -- SHA-256
    created_at      BIGINT NOT NULL,
    concluded_at    BIGINT NOT NULL,
    retired_at      BIGINT NOT NULL,
    seq             BIGINT NOT NULL, -- of its last event
    head            BYTEA  NOT NULL, -- that event's hash
    PRIMARY KEY (brand_id, action, biz_id)
) WITH (fillfactor = 100);
CREATE INDEX tombstone_flow ON tombstone (brand_id, flow_id);

CREATE TABLE seal (
    brand_id  TEXT   NOT NULL,
    no        BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    members   BIGINT NOT NULL,
    prev_hash BYTEA  NOT NULL,
    hash      BYTEA  NOT NULL,
    PRIMARY KEY (brand_id, no)
) WITH (fillfactor = 100);

CREATE TABLE seal_member (
    brand_id TEXT   NOT NULL,
    seal_no  BIGINT NOT NULL,
    action   TEXT   NOT NULL,
    biz_id   TEXT   NOT NULL,
    seq      BIGINT NOT NULL, -- the event whose hash is sealed, 0: the tombstone
    hash     BYTEA  NOT NULL,
    PRIMARY KEY (brand_id, seal_no, action, biz_id, seq)
) WITH (fillfactor = 100);

CREATE TRIGGER tombstone_keep BEFORE UPDATE ON tombstone
    FOR EACH ROW
    EXECUTE FUNCTION hexiao_refuse('a tombstone stays as it is');

CREATE TRIGGER tombstone_stays BEFORE DELETE ON tombstone
    FOR EACH ROW
    EXECUTE FUNCTION hexiao_refuse('a tombstone stays as it is');

CREATE TRIGGER tombstone_truncate BEFORE TRUNCATE ON tombstone FOR EACH STATEMENT
    EXECUTE FUNCTION hexiao_refuse('a tombstone stays as it is');

CREATE TRIGGER seal_keep BEFORE UPDATE ON seal
    FOR EACH ROW
    EXECUTE FUNCTION hexiao_refuse('a seal stays as it is');

CREATE TRIGGER seal_stays BEFORE DELETE ON seal
    FOR EACH ROW
    EXECUTE FUNCTION hexiao_refuse('a seal stays as it is');

CREATE TRIGGER seal_truncate BEFORE TRUNCATE ON seal FOR EACH STATEMENT
    EXECUTE FUNCTION hexiao_refuse('a seal stays as it is');

CREATE TRIGGER seal_member_keep BEFORE UPDATE ON seal_member
    FOR EACH ROW
    EXECUTE FUNCTION hexiao_refuse('a seal stays as it is');

CREATE TRIGGER seal_member_stays BEFORE DELETE ON seal_member
    FOR EACH ROW
    EXECUTE FUNCTION hexiao_refuse('a seal stays as it is');

CREATE TRIGGER seal_member_truncate BEFORE TRUNCATE ON seal_member FOR EACH STATEMENT
    EXECUTE FUNCTION hexiao_refuse('a seal stays as it is');

-- +goose StatementBegin
CREATE FUNCTION hexiao_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.brand_id = OLD.brand_id AND t.action = OLD.action AND t.biz_id = OLD.biz_id) THEN
        RAISE EXCEPTION 'hexiao: rows of % are not deleted without a tombstone', TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd

-- Runs after the insert, with a snapshot of its own: it sees the tombstone of a retention that committed while the insert waited.
-- +goose StatementBegin
CREATE FUNCTION hexiao_retired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM tombstone t WHERE t.brand_id = NEW.brand_id AND t.action = NEW.action AND t.biz_id = NEW.biz_id) THEN
        RAISE EXCEPTION 'hexiao: this redemption is retired' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER redemption_retired AFTER INSERT ON redemption FOR EACH ROW EXECUTE FUNCTION hexiao_retired();

DROP TRIGGER redemption_stays ON redemption;
CREATE TRIGGER redemption_stays BEFORE DELETE ON redemption FOR EACH ROW EXECUTE FUNCTION hexiao_stays();

DROP TRIGGER line_stays ON line;
CREATE TRIGGER line_stays BEFORE DELETE ON line FOR EACH ROW EXECUTE FUNCTION hexiao_stays();

DROP TRIGGER leg_stays ON leg;
CREATE TRIGGER leg_stays BEFORE DELETE ON leg FOR EACH ROW EXECUTE FUNCTION hexiao_stays();

DROP TRIGGER event_stays ON event;
CREATE TRIGGER event_stays BEFORE DELETE ON event FOR EACH ROW EXECUTE FUNCTION hexiao_stays();

-- A day in the shop: half a percent of the rows is deleted, one percent updated,
-- one percent inserted. Which rows those are follows from the hashes of their
-- numbers. Only even rows are deleted, since other rows refer to odd ones alone.
-- New texts are those of other rows with their words in another order.

DELETE FROM events WHERE id % 2 = 0 AND md5('e' || id) >= 'fd70';
DELETE FROM orders WHERE id % 2 = 0 AND md5('o' || id) >= 'fd70';
DELETE FROM customers WHERE id % 2 = 0 AND md5('c' || id) >= 'fd70';

UPDATE customers
SET balance = balance + (id % 97), updated_at = TIMESTAMP '2026-01-01 08:00' + id * INTERVAL '1 ms'
WHERE md5('c' || id) < '028f';
UPDATE orders
SET status = CASE status WHEN 'delivered' THEN 'returned' ELSE 'delivered' END,
    updated_at = TIMESTAMP '2026-01-01 08:00' + id * INTERVAL '1 ms'
WHERE md5('o' || id) < '028f';
UPDATE events
SET state = 'failed', attempts = attempts + 1,
    updated_at = TIMESTAMP '2026-01-01 08:00' + id * INTERVAL '1 ms'
WHERE md5('e' || id) < '028f';

CREATE FUNCTION pg_temp.shuffled(words text, salt bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(word, ' ' ORDER BY md5(word || salt || place))
    FROM regexp_split_to_table(words, ' ') WITH ORDINALITY AS split (word, place)
$$;

INSERT INTO customers
SELECT (SELECT max(id) FROM customers) + row_number() OVER (ORDER BY id), name, email,
    '+49 ' || (100000000 + id * 7919 % 900000000), street, city,
    (10000 + id * 31 % 90000)::text, country, md5('token' || id)::uuid,
    (id * 7919 % 20000000)::numeric / 100, pg_temp.shuffled(note, id),
    TIMESTAMP '2026-01-01' + id * INTERVAL '1.7 ms', TIMESTAMP '2026-01-01' + id * INTERVAL '1.7 ms'
FROM customers WHERE md5('new c' || id) < '028f';
INSERT INTO orders
SELECT (SELECT max(id) FROM orders) + row_number() OVER (ORDER BY id), customer_id,
    'W-' || substr(md5('reference' || id), 1, 12), status, 1 + id % 12,
    (100 + id * 7919 % 499900)::numeric / 100, currency, pg_temp.shuffled(note, id),
    TIMESTAMP '2026-01-01' + id * INTERVAL '1.7 ms', TIMESTAMP '2026-01-01' + id * INTERVAL '1.7 ms'
FROM orders WHERE md5('new o' || id) < '028f';
INSERT INTO events
SELECT (SELECT max(id) FROM events) + row_number() OVER (ORDER BY id), order_id, kind,
    substr(md5('token' || id), 1, 16),
    payload || jsonb_build_object('session', substr(md5('session' || id), 1, 16),
        'price', (100 + id * 7919 % 49900)::numeric / 100),
    state, id % 6,
    TIMESTAMP '2026-01-01' + id * INTERVAL '1.7 ms', TIMESTAMP '2026-01-01' + id * INTERVAL '1.7 ms'
FROM events WHERE md5('new e' || id) < '028f';

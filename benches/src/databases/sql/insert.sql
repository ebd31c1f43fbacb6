-- As many rows are inserted as are one percent. New texts are those of other rows with
-- their words in another order.

CREATE FUNCTION pg_temp.shuffled(words text, salt bigint) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(word, ' ' ORDER BY md5(word || salt || place))
    FROM regexp_split_to_table(words, ' ') WITH ORDINALITY AS split (word, place)
$$;

INSERT INTO customers
SELECT (SELECT max(id) FROM customers) + row_number() OVER (ORDER BY id), name, email,
    '+49 ' || (100000000 + id * 7919 % 900000000), street, city,
    (10000 + id * 31 % 90000)::text, country, md5('{salt}token' || id)::uuid,
    (id * 7919 % 20000000)::numeric / 100, pg_temp.shuffled(note, id),
    TIMESTAMP '{day}' + id * INTERVAL '1.7 ms', TIMESTAMP '{day}' + id * INTERVAL '1.7 ms'
FROM customers WHERE md5('{salt}new c' || id) < '028f';
INSERT INTO orders
SELECT (SELECT max(id) FROM orders) + row_number() OVER (ORDER BY id), customer_id,
    'W-' || substr(md5('{salt}reference' || id), 1, 12), status, 1 + id % 12,
    (100 + id * 7919 % 499900)::numeric / 100, currency, pg_temp.shuffled(note, id),
    TIMESTAMP '{day}' + id * INTERVAL '1.7 ms', TIMESTAMP '{day}' + id * INTERVAL '1.7 ms'
FROM orders WHERE md5('{salt}new o' || id) < '028f';
INSERT INTO events
SELECT (SELECT max(id) FROM events) + row_number() OVER (ORDER BY id), order_id, kind,
    substr(md5('{salt}token' || id), 1, 16),
    payload || jsonb_build_object('session', substr(md5('{salt}session' || id), 1, 16),
        'price', (100 + id * 7919 % 49900)::numeric / 100),
    state, id % 6,
    TIMESTAMP '{day}' + id * INTERVAL '1.7 ms', TIMESTAMP '{day}' + id * INTERVAL '1.7 ms'
FROM events WHERE md5('{salt}new e' || id) < '028f';

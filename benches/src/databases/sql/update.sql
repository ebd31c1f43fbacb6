-- Some rows here and there get other small fields. Which those are follows from the
-- hashes of their numbers.

UPDATE customers
SET balance = balance + (id % 97), updated_at = TIMESTAMP '{day} 08:00' + id * INTERVAL '1 ms'
WHERE md5('{salt}c' || id) < '{share}';
UPDATE orders
SET status = CASE status WHEN 'delivered' THEN 'returned' ELSE 'delivered' END,
    updated_at = TIMESTAMP '{day} 08:00' + id * INTERVAL '1 ms'
WHERE md5('{salt}o' || id) < '{share}';
UPDATE events
SET state = 'failed', attempts = attempts + 1,
    updated_at = TIMESTAMP '{day} 08:00' + id * INTERVAL '1 ms'
WHERE md5('{salt}e' || id) < '{share}';

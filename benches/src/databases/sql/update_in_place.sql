-- One percent of the rows, here and there, get other small fields. Which those are
-- follows from their numbers modulo two primes and from the night.

UPDATE customers
SET balance = balance + id % 97,
    updated_at = '{day} 08:' || substr(100 + id % 60, 2) || ':' || substr(100 + id * 7 % 60, 2)
        || '.' || substr(1000000 + id * 79 % 1000000, 2)
WHERE (id * 7919 + {night} * 3571) % 10007 * 104729 % 10009 < 100;
UPDATE orders
SET status = CASE status WHEN 'delivered' THEN 'returned' ELSE 'delivered' END,
    updated_at = '{day} 08:' || substr(100 + id % 60, 2) || ':' || substr(100 + id * 7 % 60, 2)
        || '.' || substr(1000000 + id * 79 % 1000000, 2)
WHERE (id * 7919 + {night} * 4561) % 10007 * 104729 % 10009 < 100;
UPDATE events
SET state = 'failed', attempts = attempts + 1,
    updated_at = '{day} 08:' || substr(100 + id % 60, 2) || ':' || substr(100 + id * 7 % 60, 2)
        || '.' || substr(1000000 + id * 79 % 1000000, 2)
WHERE (id * 7919 + {night} * 5557) % 10007 * 104729 % 10009 < 100;

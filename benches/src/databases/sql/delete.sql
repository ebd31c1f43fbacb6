-- Half a percent of the rows is deleted. Which those are follows from the hashes of
-- their numbers. Only even rows are deleted, since other rows refer to odd ones alone.

DELETE FROM events WHERE id % 2 = 0 AND md5('{salt}e' || id) >= 'fd70';
DELETE FROM orders WHERE id % 2 = 0 AND md5('{salt}o' || id) >= 'fd70';
DELETE FROM customers WHERE id % 2 = 0 AND md5('{salt}c' || id) >= 'fd70';

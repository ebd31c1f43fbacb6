-- The shop's tables, for databases other than PostgreSQL.

CREATE TABLE customers (
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    email VARCHAR(100) NOT NULL,
    phone VARCHAR(30),
    street VARCHAR(100) NOT NULL,
    city VARCHAR(100) NOT NULL,
    postcode VARCHAR(10) NOT NULL,
    country CHAR(2) NOT NULL,
    token CHAR(36) NOT NULL,
    balance DECIMAL(12,2) NOT NULL,
    note TEXT,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL
);
CREATE TABLE events (
    id INTEGER NOT NULL PRIMARY KEY,
    order_id INTEGER NOT NULL,
    kind VARCHAR(30) NOT NULL,
    token CHAR(16) NOT NULL,
    payload TEXT NOT NULL,
    state VARCHAR(20) NOT NULL,
    attempts INTEGER NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL
);
CREATE TABLE orders (
    id INTEGER NOT NULL PRIMARY KEY,
    customer_id INTEGER NOT NULL,
    reference VARCHAR(20) NOT NULL,
    status VARCHAR(20) NOT NULL,
    quantity INTEGER NOT NULL,
    total DECIMAL(12,2) NOT NULL,
    currency CHAR(3) NOT NULL,
    note TEXT,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL
);

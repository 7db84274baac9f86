-- For sqlc alone: see sqlc.yaml.
CREATE SCHEMA pgsession;

-- What a token may be used for at most, whatever roles its principal has; empty: all that the roles admit.
ALTER TABLE ameide.api_token ADD COLUMN scopes text[] NOT NULL DEFAULT '{}';

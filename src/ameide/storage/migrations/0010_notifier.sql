-- The notifier reads as the role that ingress has. Its place in the log is there only while somebody is to be told:
-- a consumer that does not run would keep the log from being archived.
GRANT INSERT, DELETE ON ameide.cursor TO ameide_ingress;

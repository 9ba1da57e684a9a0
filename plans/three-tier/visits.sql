CREATE ROLE visits LOGIN PASSWORD '{{ password | replace("'", "''") }}';
CREATE DATABASE visits OWNER visits;
\connect visits
CREATE TABLE visits (host text, at timestamptz DEFAULT now());
ALTER TABLE visits OWNER TO visits;
